#!/bin/sh
# Starts the agent with the Node that came with it.
here=$(dirname "$(readlink -f "$0")")
exec "$here/node" "$here/edgetally-agent.mjs" "$@"
