// Node-RED's own way to keep state over a restart: a context store in files. What is set there is kept in memory and
// written every flushInterval seconds (the default is 30; 1 is the shortest that does not write at each reading).
module.exports = {
  uiPort: '{{admin}}',
  uiHost: '127.0.0.1',
  disableEditor: true,
  contextStorage: {
    default: { module: 'memory' },
    disk: { module: 'localfilesystem', config: { flushInterval: 1 } },
  },
  logging: { console: { level: 'info' } },
};
