// Follows server-sent events by `fetch`: unlike EventSource it tells why it was refused, and it notices a connection
// that is dead though nobody has closed it, as after sleep.

import { open } from "./api.js";

// The server sends something every 15 s in any case.
const SILENCE = 40_000;
const PAUSES = [0, 500, 1_000, 2_000, 5_000];

// Calls `onEvent(data)` for every event until `signal` is aborted, and goes on where it was whenever the connection
// comes back. `onState` hears "live", "waiting" or "offline".
export async function follow(path, { onEvent, onState, signal }) {
  let last = null;
  let failures = 0;
  const wake = waker(signal);
  while (!signal.aborted) {
    try {
      const began = () => {
        failures = 0;
        onState("live");
      };
      await read(path, last, wake, began, (id, data) => {
        last = id ?? last;
        onEvent(data);
      });
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      if (error.status === 400) last = null;
    }
    if (signal.aborted) return;
    onState(navigator.onLine ? "waiting" : "offline");
    const pause = PAUSES[Math.min(failures, PAUSES.length - 1)];
    failures += 1;
    await wake.sleep(navigator.onLine ? pause : Infinity);
  }
}

async function read(path, last, wake, began, onEvent) {
  const connection = new AbortController();
  const end = () => connection.abort();
  wake.onLoss(end);
  let watch = setTimeout(end, SILENCE);
  try {
    const headers = last ? { "Last-Event-ID": last } : {};
    const response = await open(path, { headers, signal: connection.signal, cache: "no-store" });
    began();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watch);
      watch = setTimeout(end, SILENCE);
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) parse(event, onEvent);
    }
  } finally {
    clearTimeout(watch);
    connection.abort();
    wake.onLoss(null);
  }
}

function parse(event, onEvent) {
  const fields = { id: null, data: "" };
  for (const line of event.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  if (fields.data) onEvent(fields.id, JSON.parse(fields.data));
}

// Ends pauses early when the computer is online again or somebody looks, and connections when it is offline.
function waker(signal) {
  let [wakeUp, lost] = [null, null];
  const up = () => wakeUp?.();
  const loss = () => lost?.();
  const look = () => document.visibilityState === "visible" && up();
  addEventListener("online", up, { signal });
  addEventListener("offline", loss, { signal });
  document.addEventListener("visibilitychange", look, { signal });
  signal.addEventListener("abort", () => (loss(), up()));
  return {
    onLoss: (work) => (lost = work),
    sleep: (milliseconds) =>
      new Promise((resolve) => {
        wakeUp = resolve;
        if (milliseconds !== Infinity) setTimeout(resolve, milliseconds);
      }),
  };
}
