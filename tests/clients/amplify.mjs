// Amplify as a guest: records the events that each step on standard input names, and prints what went over the wire.
//
// Its Pinpoint client knows one address, so `fetch` is led to ours; what it signed, the host among it, stays.
import { readFileSync } from "node:fs";

const { url, appId, poolId, identityId, steps } = JSON.parse(readFileSync(0, "utf8"));
const wire = [];
const send = globalThis.fetch;
globalThis.fetch = async (address, options) => {
  const asked = new URL(address);
  const answer = await send(asked.host.startsWith("pinpoint.") ? url + asked.pathname + asked.search : address, options);
  const headers = Object.fromEntries(new Headers(options.headers));
  const text = await answer.clone().text();
  wire.push({
    method: options.method, host: asked.host, path: asked.pathname, target: headers["x-amz-target"] ?? null,
    key: (headers.authorization ?? "").match(/Credential=(\w+)/)?.[1] ?? null, status: answer.status,
    sent: String(options.body), answer: text, kind: answer.headers.get("x-amzn-errortype"),
  });
  return answer;
};

const { Amplify } = await import("aws-amplify");
const { flushEvents, record } = await import("aws-amplify/analytics");
const { defaultStorage } = await import("@aws-amplify/core");

// What a client has kept since it had its identity from the real Cognito.
if (identityId) await defaultStorage.setItem(`com.amplify.Cognito.${poolId}.identityId`, identityId);
Amplify.configure({
  Auth: { Cognito: { identityPoolId: poolId, allowGuestAccess: true, identityPoolEndpoint: url } },
  Analytics: { Pinpoint: { appId, region: "us-east-1", flushInterval: 100 } },
});

const batches = () => wire.filter(({ path, sent }) => path.endsWith("/events") && sent.includes('"EventType"'));
const now = Date.now;
for (const step of steps) {
  await new Promise((resolve) => setTimeout(resolve, step.waitMs ?? 0));
  const seen = batches().length;
  // Amplify asks for new keys fifty minutes after it got some; its clock is moved on while it looks, and set right before it signs.
  if (step.aheadMs) Date.now = () => now() + step.aheadMs;
  for (const event of step.events) record(event);
  if (step.aheadMs) setTimeout(() => { Date.now = now; }, 50);
  const end = now() + 20000;
  const count = () => batches().slice(seen).reduce((sum, { sent }) => sum + sent.split('"EventType"').length - 1, 0);
  while (count() < step.events.length && now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
}
flushEvents();
await new Promise((resolve) => setTimeout(resolve, 300));
console.log(JSON.stringify(wire));
process.exit(0);
