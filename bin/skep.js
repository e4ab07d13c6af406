#!/usr/bin/env node
"use strict";
// Loads the bundle with V8's compiled form of it, where that was made by this very version of Node; else compiles the source.
const { readFileSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { Script } = require("node:vm");

const file = join(__dirname, "../dist/bundle/skep.cjs");
const cacheFile = `${file}.${process.version}.${process.arch}.cache`;

function read(path, encoding) {
  try {
    return readFileSync(path, encoding);
  } catch {
    return undefined;
  }
}

const source = read(file, "utf8");
if (source === undefined) {
  process.stderr.write("skep: dist/bundle is missing: run npm run build\n");
  process.exit(1);
}
const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
  filename: file,
  cachedData: read(cacheFile),
});
const bundle = { exports: {} };
script.runInThisContext()(bundle.exports, createRequire(file), bundle, file, join(file, ".."));
if (process.argv[2] === "--write-code-cache") {
  bundle.exports.warmUp().then(() => writeFileSync(cacheFile, script.createCachedData()));
} else {
  void bundle.exports.start();
}
