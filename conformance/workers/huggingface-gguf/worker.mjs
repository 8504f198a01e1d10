// @huggingface/gguf, the reader behind the Hub's file pages, as a worker of ggauge: PROTOCOL.md of `conformance/vocabulary`,
// request `read`.
//
// `npm ci --omit=dev` in this folder installs what it needs; `node worker.mjs` runs it. It repeats what `gguf` tells and checks
// nothing of its own.

import { GGUFValueType, gguf } from "@huggingface/gguf";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const PROTOCOL = 1;
const LONGEST_TEXT = 4096;

// The names of the specification.
const TYPE_NAMES = {
  [GGUFValueType.UINT8]: "u8",
  [GGUFValueType.INT8]: "i8",
  [GGUFValueType.UINT16]: "u16",
  [GGUFValueType.INT16]: "i16",
  [GGUFValueType.UINT32]: "u32",
  [GGUFValueType.INT32]: "i32",
  [GGUFValueType.FLOAT32]: "f32",
  [GGUFValueType.BOOL]: "bool",
  [GGUFValueType.STRING]: "string",
  [GGUFValueType.ARRAY]: "array",
  [GGUFValueType.UINT64]: "u64",
  [GGUFValueType.INT64]: "i64",
  [GGUFValueType.FLOAT64]: "f64",
};

// The vocabulary's words for what JavaScript spells in its own way.
const NOT_FINITE = { NaN: "nan", Infinity: "inf", "-Infinity": "-inf" };

// The library puts the header among the metadata. Where the file has keys of these names, they overwrite it unnoticed.
const HEADER = ["version", "tensor_count", "kv_count"];

// Text as `vocabulary::escape` writes it. The library has decoded it already, so no byte is left that is not UTF-8.
function escape(text) {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length <= LONGEST_TEXT) {
    return text.replaceAll("\\", "\\\\");
  }
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return `<${bytes.length} bytes, fnv1a ${hash.toString(16).padStart(16, "0")}>`;
}

// One value as `vocabulary::ReadValue`. What is undefined does not appear in the JSON: the library keeps the type of a value
// and that of an array's elements, and of nothing deeper.
function readValue(value, type, elementType) {
  if (Array.isArray(value)) {
    return { kind: "array", type: TYPE_NAMES[elementType], values: value.map((element) => readValue(element, elementType)) };
  }
  if (typeof value === "string") {
    return { kind: "text", text: escape(value) };
  }
  // `String` forgets the sign of a zero.
  const text = Object.is(value, -0) ? "-0" : (NOT_FINITE[String(value)] ?? String(value));
  // JavaScript shows a whole floating-point number like an integer, and as one it would be compared digit by digit.
  const whole = (type === GGUFValueType.FLOAT32 || type === GGUFValueType.FLOAT64) && /^-?\d+$/.test(text);
  return { kind: "number", type: TYPE_NAMES[type], text: whole ? `${text}.0` : text };
}

function tensorEntry({ name, shape, dtype, offset }) {
  return { name: escape(name), dimensions: shape.map(String), type: dtype, offset: String(offset) };
}

// What the library finds in the file, as `vocabulary::Contents`.
async function contents(file) {
  const { typedMetadata, tensorInfos, tensorDataOffset } = await gguf(file, { typedMetadata: true, allowLocalFile: true });
  const version = typedMetadata.version.value;
  const entries = Object.entries(typedMetadata).filter(([key]) => !HEADER.includes(key));
  return {
    version: Number.isInteger(version) ? version : undefined,
    data_offset: String(tensorDataOffset),
    metadata: entries.map(([key, { value, type, subType }]) => ({ key: escape(key), value: readValue(value, type, subType) })),
    tensors: tensorInfos.map(tensorEntry),
  };
}

// The answer for an exception. What the library checks itself are plain errors; those of the file system have a code besides.
function refusal(error) {
  const message = `${error?.name}: ${error?.message}`;
  const unreadable = error?.syscall !== undefined;
  const own = error?.constructor === Error && !unreadable;
  if (own && /unsupported/i.test(error.message)) {
    return { response: "unsupported", reason: message };
  }
  const failure = unreadable ? "unreadable" : own ? "malformed" : "other";
  return { response: "rejected", stage: "read", class: failure, message };
}

async function answer({ request, file }) {
  if (request !== "read") {
    return { response: "unsupported", reason: "@huggingface/gguf reads files and runs nothing" };
  }
  try {
    return { response: "contents", contents: await contents(file) };
  } catch (error) {
    return refusal(error);
  }
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

// Nothing but answers may reach stdout, whatever the library prints.
console.log = console.info = console.debug = console.error;

const library = new URL("node_modules/@huggingface/gguf/package.json", import.meta.url);
const { name, version } = JSON.parse(readFileSync(library, "utf8"));
const features = [`Node.js ${process.version}`];
const description = { runtime: `${name} ${version}`, device: "", driver: "", features, software: false };
say({ response: "hello", protocol: PROTOCOL, description });
for await (const line of createInterface({ input: process.stdin })) {
  say(await answer(JSON.parse(line)));
}
