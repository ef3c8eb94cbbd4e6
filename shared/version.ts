/** What the programs call themselves; a test keeps it equal to the package files. */
export const VERSION = '0.1.0';
