// The calls of the moment, folded from alerts: whatever their order, and however often each comes.

// A call never goes back to an earlier state.
const RANKS = { ringing: 1, routed: 2, answered: 3, completed: 4, voicemail: 4, missed: 4 };

const STATES = { "incoming-call": "ringing", "call-routed": "routed", "call-answered": "answered" };

const HOUR = 3_600_000;

// How long a call stays on the board: after its end, or without any news of it.
const SHOWN_AFTER_END = HOUR;
const SHOWN_WITHOUT_NEWS = 4 * HOUR;

export class Board {
  #calls = new Map();
  #seen = new Set();

  // Takes an alert; false if it is known already or is none of the board's.
  take(alert) {
    if (this.#seen.has(alert.id)) return false;
    this.#seen.add(alert.id);
    const known = this.#calls.get(alert.call_sid);
    const state = alert.outcome ? ended(alert) : STATES[alert.kind];
    // Somebody has put a tag on a call of last week.
    if (!state || (!known && alert.kind === "call-updated")) return false;
    const at = Date.parse(alert.at);
    const call = known ?? {
      sid: alert.call_sid,
      interaction: alert.interaction_id,
      began: at,
      heard: at,
      rank: 0,
      isNewLead: false,
    };
    const isLatest = at >= call.heard;
    call.heard = Math.max(call.heard, at);
    call.began = Math.min(call.began, alert.duration ? at - alert.duration * 1000 : at);
    if (RANKS[state] > call.rank || (RANKS[state] === call.rank && isLatest))
      [call.state, call.rank] = [state, RANKS[state]];
    if (alert.outcome) call.ended = Math.min(call.ended ?? at, at);
    for (const field of ["direction", "from", "contact", "source", "duration"]) {
      if (alert[field] !== undefined && (isLatest || call[field] === undefined)) call[field] = alert[field];
    }
    call.isNewLead ||= alert.kind === "new-lead";
    this.#calls.set(call.sid, call);
    return true;
  }

  // The calls that go on and those that have ended, each with the latest first.
  list(now) {
    for (const [sid, call] of this.#calls) {
      const until = call.ended ? call.ended + SHOWN_AFTER_END : call.heard + SHOWN_WITHOUT_NEWS;
      if (until < now) this.#calls.delete(sid);
    }
    const calls = [...this.#calls.values()];
    const going = calls.filter((call) => !call.ended).sort((one, other) => other.began - one.began);
    const over = calls.filter((call) => call.ended).sort((one, other) => other.ended - one.ended);
    return { going, over };
  }
}

function ended(alert) {
  if (alert.direction === "outbound" || alert.outcome === "completed") return "completed";
  return alert.outcome === "voicemail" ? "voicemail" : "missed";
}
