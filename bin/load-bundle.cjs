"use strict";
// Loads a bundle of dist/bundle with V8's compiled form of it, where that was made by this very version of Node; else compiles the source.
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { Script } = require("node:vm");

const directory = join(__dirname, "../dist/bundle");

function read(path, encoding) {
  try {
    return readFileSync(path, encoding);
  } catch {
    return undefined;
  }
}

/** The file of V8's compiled form. */
function cacheOf(name) {
  return join(directory, `${name}.${process.version}.${process.arch}.cache`);
}

/** A bundle by the name of its file: what it exports, and its script. Undefined when it was not built. */
function loadBundle(name) {
  const file = join(directory, name);
  // It is ASCII.
  const source = read(file, "latin1");
  if (source === undefined) return undefined;
  const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: file,
    cachedData: read(cacheOf(name)),
  });
  const bundle = { exports: {} };
  script.runInThisContext()(bundle.exports, createRequire(file), bundle, file, directory);
  return { exports: bundle.exports, script };
}

let library;

/** What an entry point of the library exports, all of them from one bundle. */
function libraryEntry(name) {
  library ??= loadBundle("library.cjs");
  if (library === undefined) throw new Error("skep: dist/bundle is missing: run npm run build");
  return library.exports[name];
}

exports.loadBundle = loadBundle;
exports.cacheOf = cacheOf;
exports.libraryEntry = libraryEntry;
