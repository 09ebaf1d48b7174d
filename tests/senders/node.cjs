// SPDX-License-Identifier: Apache-2.0
// A program in Node that is set up by its environment alone. Its arguments: a protocol, which the environment says too,
// and the time of a clock that is late, in milliseconds. It prints what it sent, a span's ids by its name.

const api = require("@opentelemetry/api");
const { NodeSDK } = require("@opentelemetry/sdk-node");

const sdk = new NodeSDK();
sdk.start();
import("./story.mjs").then(async ({ tell }) => {
  const told = tell(api, api.trace.getTracer("sender"), Number(process.argv[3]));
  await sdk.shutdown();
  console.log(JSON.stringify(told));
});
