/* Headwater's tracking snippet: <script src="https://your.host/t.js" data-write-key="hwk_..." async></script>
 *
 * headwater.track("cart.add", {sku: "A1", price: 9.5})   headwater.page("Basket")   headwater.identify("user-1", {plan: "gold"})
 * headwater.reset() forgets who it was. Before the file has come, `window.headwater = window.headwater || []` and
 * headwater.push(["track", "cart.add", {...}]) keep calls for it. data-auto="off": no page view and no session by itself.
 *
 * Every event lies in localStorage, under its key's name and its own id, until the server has said that it has it; what was sent twice is
 * told apart there. Nothing here throws into the page: what cannot be recorded is said on the console.
 */
(function (window, document) {
  "use strict";
  var script = document.currentScript;
  if (!script || (window.headwater && window.headwater.version)) return;

  var writeKey = script.getAttribute("data-write-key");
  // Two apps may live at one origin: each sends its own events, by its own key.
  var PREFIX = "headwater.", EVENT = PREFIX + "event." + writeKey + ".";
  var SESSION_GAP_MS = 30 * 60 * 1000, BATCH_MAX = 50, BEACON_BYTES_MAX = 60000;
  var RETRY_MS_MIN = 1000, RETRY_MS_MAX = 60000;
  var isAuto = script.getAttribute("data-auto") !== "off";
  var endpoint = script.src.replace(/\/t\.js.*$/, "/v1/batch");
  var memory = {}, timer = null, retryMs = RETRY_MS_MIN, isSending = false, batchMax = BATCH_MAX;
  if (!writeKey) warn("attribute data-write-key is missing; expected a key that 'headwater keys' made");

  function warn(what) { if (window.console) window.console.warn("headwater: " + what); }

  /* What lasts: localStorage, or this page's memory where there is none, or it is full. */
  function keep(name, value) {
    try { window.localStorage.setItem(name, value); delete memory[name]; } catch (error) { memory[name] = value; }
  }
  function load(name) {
    if (name in memory) return memory[name];
    try { return window.localStorage.getItem(name); } catch (error) { return null; }
  }
  function forget(name) {
    delete memory[name];
    try { window.localStorage.removeItem(name); } catch (error) { /* There is no storage: memory had it. */ }
  }
  function names() {
    var found = memory;
    try { found = Object.assign({}, window.localStorage, memory); } catch (error) { /* As above. */ }
    return Object.keys(found).filter(function (name) { return name.indexOf(EVENT) === 0; });
  }

  function makeId() {
    if (window.crypto && window.crypto.randomUUID) return window.crypto.randomUUID();
    var bytes = new Uint8Array(16);
    window.crypto.getRandomValues(bytes);
    var hex = Array.prototype.map.call(bytes, function (byte) { return ("0" + byte.toString(16)).slice(-2); }).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }
  function anonymousId() {
    var id = load(PREFIX + "anonymous_id");
    if (!id) keep(PREFIX + "anonymous_id", (id = makeId()));
    return id;
  }

  /* The session: one goes on until nothing was recorded for half an hour. Its end is recorded when the next one begins. */
  function session(now) {
    var found = null;
    try { found = JSON.parse(load(PREFIX + "session")); } catch (error) { /* Somebody else wrote there: a new one begins. */ }
    if (!found || !found.id || !(found.started <= found.seen)) found = null;
    if (found && now - found.seen < SESSION_GAP_MS) {
      found.seen = now;
      keep(PREFIX + "session", JSON.stringify(found));
      return found;
    }
    var next = { id: makeId(), started: now, seen: now };
    keep(PREFIX + "session", JSON.stringify(next));
    if (isAuto) {
      if (found) {
        record({ type: "track", event: "_session.stop" }, found.seen,
          { id: found.id, startedAt: iso(found.started), stoppedAt: iso(found.seen) });
      }
      record({ type: "track", event: "_session.start" }, now, describe(next));
    }
    return next;
  }
  function describe(found) { return { id: found.id, startedAt: iso(found.started) }; }
  function iso(ms) { return new Date(ms).toISOString(); }

  function record(call, at, ofSession) {
    call.messageId = makeId();
    call.anonymousId = anonymousId();
    call.timestamp = iso(at);
    var userId = load(PREFIX + "user_id");
    if (userId) call.userId = userId;
    call.context = {
      session: ofSession,
      locale: window.navigator.language,
      library: { name: "headwater.js", version: api.version },
      page: { url: window.location.href, path: window.location.pathname, title: document.title, referrer: document.referrer }
    };
    keep(EVENT + call.messageId, whole(JSON.stringify(call)));
    schedule(0);
  }
  /* Half a character, as cutting a text may leave one, is no text to the server. */
  function whole(json) {
    return json.replace(/\\\\|\\ud[89a-f][0-9a-f]{2}/g, function (each) { return each === "\\\\" ? each : "\\ufffd"; });
  }
  function call(made) {
    var now = Date.now();
    try { record(made, now, describe(session(now))); } catch (error) { warn(made.type + " is not recorded: " + error.message); }
  }

  /* The events that wait, oldest first, as many as fit. */
  function pending(bytesMax) {
    var found = [];
    names().forEach(function (name) {
      var text = load(name);
      try { if (text) found.push({ name: name, text: text, at: JSON.parse(text).timestamp }); } catch (error) { forget(name); }
    });
    found.sort(function (a, b) { return a.at < b.at ? -1 : 1; });
    var size = 0;
    return found.slice(0, batchMax).filter(function (each) { return (size += new Blob([each.text]).size) <= bytesMax; });
  }
  function body(events) {
    var texts = events.map(function (each) { return each.text; });
    return '{"writeKey":' + JSON.stringify(writeKey) + ',"sentAt":"' + iso(Date.now()) + '","batch":[' + texts.join(",") + "]}";
  }
  function schedule(ms) {
    if (timer === null) timer = window.setTimeout(function () { timer = null; send(); }, ms);
  }
  function send() {
    if (isSending) return;
    var events = pending(Infinity);
    if (!events.length) return;
    isSending = true;
    // text/plain needs no question to the server first.
    window.fetch(endpoint, { method: "POST", body: body(events), headers: { "content-type": "text/plain" }, credentials: "omit" })
      .then(function (answer) {
        if (answer.status >= 500 || answer.status === 429 || answer.status === 408) throw new Error("again");
        if (!answer.ok) warn("refused with " + answer.status);
        var isRefused = answer.status === 400 || answer.status === 413;
        if (!answer.ok && !isRefused) throw new Error("again");
        // One that cannot be read, or is too large, costs none of the others: they go in smaller batches, at last one by one.
        if (isRefused && events.length > 1) batchMax = Math.ceil(events.length / 2);
        else events.forEach(function (each) { forget(each.name); });
        if (answer.ok) batchMax = Math.min(batchMax * 2, BATCH_MAX);
        retryMs = RETRY_MS_MIN;
        isSending = false;
        if (names().length) schedule(0);
      })
      .catch(function () {
        isSending = false;
        schedule(retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      });
  }
  /* The page is left: a beacon goes out, and nobody hears whether it came. So what it holds stays and goes again with the next page. */
  function leave() {
    var events = pending(BEACON_BYTES_MAX);
    if (events.length && window.navigator.sendBeacon) window.navigator.sendBeacon(endpoint, new Blob([body(events)], { type: "text/plain" }));
  }

  var api = {
    version: "1",
    track: function (event, properties) { call({ type: "track", event: event, properties: properties || {} }); },
    page: function (name, properties) { call({ type: "page", name: name || document.title, properties: properties || {} }); },
    identify: function (userId, traits) {
      if (userId) keep(PREFIX + "user_id", String(userId));
      call({ type: "identify", traits: traits || {} });
    },
    group: function (groupId, traits) { call({ type: "group", groupId: groupId, traits: traits || {} }); },
    reset: function () { ["user_id", "anonymous_id", "session"].forEach(function (name) { forget(PREFIX + name); }); },
    flush: send,
    push: function (each) { if (api[each[0]]) api[each[0]].apply(api, Array.prototype.slice.call(each, 1)); }
  };
  var waiting = window.headwater;
  window.headwater = api;
  if (isAuto) api.page();
  if (Array.isArray(waiting)) waiting.forEach(api.push);
  document.addEventListener("visibilitychange", function () { if (document.visibilityState === "hidden") leave(); });
  window.addEventListener("pagehide", leave);
  window.addEventListener("online", send);
  schedule(0);
})(window, document);
