// Amplify as a guest through an outage: records a tick every half second, then waits until its own retries have brought all of them home.
import { readFileSync } from "node:fs";

const { url, appId, poolId, ticks, waitMs } = JSON.parse(readFileSync(0, "utf8"));
const accepted = new Set();
let refusals = 0;
const send = globalThis.fetch;
globalThis.fetch = async (address, options) => {
  const asked = new URL(address);
  const answer = await send(asked.host.startsWith("pinpoint.") ? url + asked.pathname + asked.search : address, options);
  if (asked.pathname.endsWith("/events")) {
    for (const result of Object.values((await answer.clone().json()).Results ?? {})) {
      for (const [id, { StatusCode }] of Object.entries(result.EventsItemResponse)) {
        if (StatusCode === 202) accepted.add(id);
        else refusals += 1;
      }
    }
  }
  return answer;
};

const { Amplify } = await import("aws-amplify");
const { fetchAuthSession } = await import("aws-amplify/auth");
const { record } = await import("aws-amplify/analytics");
Amplify.configure({
  Auth: { Cognito: { identityPoolId: poolId, allowGuestAccess: true, identityPoolEndpoint: url } },
  Analytics: { Pinpoint: { appId, region: "us-east-1" } },
});
await fetchAuthSession();

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
for (let tick = 0; tick < ticks; tick += 1) {
  record({ name: "tick", attributes: { tick: String(tick) } });
  await pause(500);
}
const end = Date.now() + waitMs;
while (accepted.size < ticks && Date.now() < end) await pause(100);
console.log(JSON.stringify({ accepted: accepted.size, refusals }));
process.exit(0);
