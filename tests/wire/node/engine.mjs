// An engine that speaks the link and trades nothing: node engine.mjs PLATFORM_URL ENGINE_ID SECRET FOLDER
//
// It does what the lines on its standard input say ({"do": "log", "count": 5}) and tells what happens to it in lines on
// its standard output ({"event": "welcome", ...}). Everything it knows of the link is in docs/protocol.md.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { Latch } from "./latch.mjs";
import { Outbox } from "./outbox.mjs";

const [platformUrl, engineId, secret, folder] = process.argv.slice(2);
const instance = randomUUID();
const outbox = new Outbox(join(folder, "outbox"));
const latch = new Latch(join(folder, "latch"));
const parameters = { riskPerTrade: 0.5 };
const SCHEMA = { riskPerTrade: { type: "number", minimum: 0.01, maximum: 10, step: 0.01, loosens: "up" } };

let socket = null;
let live = false;
let session = "";
let lastRecv = 0;
let attempt = 0;
let limits = { window: 256, heartbeat_ms: 5000, offline_ms: 15000 };
let lastHeard = 0;
let beat = 0;
let version = 0;
let platformId = null;
let helloSentAt = 0;
let leaseUntil = 0;
let leaving = false;
let token = null;
let timers = [];
const beats = new Map();
const answers = new Map();

const monotonic = () => performance.now();
const tell = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

// --- sending -------------------------------------------------------------------------------------------------------

function write(type, payload, more = {}) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type, engine_id: engineId, timestamp: new Date().toISOString(), ...more, payload }));
}

function writeLetter({ id, type, payload, re, timestamp, seq }) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type, engine_id: engineId, timestamp, seq, ...(id && { id }), ...(re && { re }), payload }));
}

function pump() {
  if (!live) return;
  for (let letter = outbox.take(limits.window); letter; letter = outbox.take(limits.window)) writeLetter(letter);
}

function say(type, payload, { id = randomUUID(), re } = {}) {
  outbox.put(id, type, payload, re);
  pump();
}

// --- connecting ----------------------------------------------------------------------------------------------------

async function freshToken() {
  const answer = await fetch(`${platformUrl}/api/auth/engine-token`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ engine_id: engineId, secret }),
    signal: AbortSignal.timeout(5000),
  });
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return (await answer.json()).access_token;
}

async function connect() {
  try {
    token ??= await freshToken();
  } catch {
    return again();
  }
  const url = `${platformUrl.replace(/^http/, "ws")}/ws/engine/${engineId}`;
  const mine = new WebSocket(url, "watchkeeper-engine.v1", {
    headers: { Authorization: `Bearer ${token}` },
    perMessageDeflate: false,
    maxPayload: 256 * 1024,
    handshakeTimeout: 10000,
  });
  socket = mine;
  mine.on("unexpected-response", (_request, response) => {
    token = null;
    tell("refused", { status: response.statusCode });
    if ([403, 404, 426].includes(response.statusCode)) process.exit(1);
    mine.terminate();
  });
  mine.on("open", hello);
  mine.on("message", (data, isBinary) => {
    if (mine === socket && !isBinary) receive(JSON.parse(data.toString("utf8")));
  });
  mine.on("error", () => {});
  mine.on("close", (code) => {
    if (mine === socket) lost(code);
  });
}

function lost(code) {
  live = false;
  timers.forEach(clearInterval);
  timers = [];
  tell("closed", { code });
  if (leaving || (code >= 4500 && code <= 4999)) finish(leaving ? 0 : 1);
  else again();
}

function again() {
  const most = session && attempt === 0 ? 1 : Math.min(30, 2 ** attempt);
  attempt += 1;
  setTimeout(connect, Math.random() * most * 1000);
}

function finish(status) {
  outbox.close();
  process.exit(status);
}

function hello() {
  helloSentAt = monotonic();
  lastHeard = monotonic();
  const unacked = outbox.sentUnacked();
  write("hello", {
    protocol: "1",
    instance,
    name: "Node",
    version: "1.0",
    trading_mode: "paper",
    latch: latch.state,
    stops: latch.records(),
    supported_brokerages: ["kis"],
    strategies: [{ id: "ma", name: "Averages", status: "active", version, parameters, parameter_schema: SCHEMA }],
    resume: {
      session,
      last_recv: lastRecv,
      next_seq: outbox.nextSeq,
      first_unacked: unacked.length ? unacked[0].seq : outbox.nextSeq,
    },
  });
}

function welcome(w) {
  platformId ??= w.platform_id;
  if (platformId !== w.platform_id) return tell("another platform");
  latch.apply(w.stop);
  limits = w.limits;
  lease(helloSentAt, w.lease_ms, w.stop.epoch);
  if (w.resumed) {
    outbox.acknowledge(w.last_recv);
    for (const letter of outbox.sentUnacked()) {
      if (letter.conflated) write("gap_fill", { from_seq: letter.seq, to_seq: letter.seq, cause: "conflated" });
      else writeLetter(letter);
    }
  } else {
    outbox.renumber();
    lastRecv = 0;
  }
  session = w.session;
  live = true;
  attempt = 0;
  tell("welcome", { resumed: w.resumed, session, stops: latch.records().length, level: latch.level() });
  pump();
  keepTime();
}

// --- time ----------------------------------------------------------------------------------------------------------

function keepTime() {
  timers.push(setInterval(heartbeat, limits.heartbeat_ms));
  timers.push(
    setInterval(() => {
      if (monotonic() - lastHeard > limits.offline_ms) socket.terminate();
      outbox.putConflated("health_update", {
        cpu_usage: 1,
        memory_usage: 2,
        process_status: "running",
        engine_count: 1,
        active_strategies: 1,
        last_update: new Date().toISOString(),
      });
      pump();
    }, 250),
  );
  heartbeat();
}

function heartbeat() {
  beat += 1;
  beats.set(beat, monotonic());
  write("heartbeat", {
    n: beat,
    sent_ms: Math.floor(monotonic()),
    last_seq: outbox.nextSeq - 1,
    last_recv: lastRecv,
    stop_epoch: latch.epoch,
    level: latch.level(),
    synced: true,
    clocks: {},
  });
}

function lease(askedAt, ms, epoch) {
  if (epoch < latch.epoch) return;
  leaseUntil = askedAt + ms;
  tell("lease", { ms, alive: monotonic() < leaseUntil });
}

function answered({ n, stop, lease_ms, last_seq }) {
  latch.apply(stop);
  if (last_seq > lastRecv) return socket.close(4009, "error_sequence_gap");
  const askedAt = beats.get(n);
  if (askedAt === undefined) return;
  for (const older of [...beats.keys()]) if (older <= n) beats.delete(older);
  lease(askedAt, lease_ms, stop.epoch);
}

// --- receiving -----------------------------------------------------------------------------------------------------

function receive(frame) {
  lastHeard = monotonic();
  if (frame.ack !== undefined && frame.ack !== null) acknowledged(frame.ack);
  const { type, payload } = frame;
  if (frame.seq === undefined || frame.seq === null) return control(frame);
  if (frame.seq <= lastRecv) return write("ack", { seq: lastRecv });
  if (frame.seq > lastRecv + 1) return socket.close(4009, "error_sequence_gap");
  lastRecv = frame.seq;
  if (type === "emergency_stop") stop(payload);
  else if (type === "release") release(payload);
  else if (type === "parameter_update") update(payload);
  else if (type === "config_changed") tell("config_changed", payload);
  else write("nack", { code: "error_unknown_type", reason: "not known here", seq: frame.seq, ...(frame.id && { re: frame.id }) });
  write("ack", { seq: lastRecv });
}

function control({ type, payload, re }) {
  if (type === "welcome") welcome(payload);
  else if (type === "heartbeat_ack") answered(payload);
  else if (type === "ack") acknowledged(payload.seq, re);
  else if (type === "nack") refused(payload);
  else if (type === "gap_fill") lastRecv = Math.max(lastRecv, payload.to_seq);
  else if (type === "goodbye") tell("goodbye", payload);
}

function acknowledged(seq, re) {
  if (!outbox.acknowledge(seq)) return socket.close(4009, "error_sequence_gap");
  if (re) tell("accepted", { re });
  if (outbox.letters.every((l) => l.conflated)) tell("all acked", { seq });
  pump();
}

function refused({ seq, re, code, reason }) {
  if (seq) outbox.refuse(seq);
  tell("refused message", { re, code, reason });
}

// --- commands ------------------------------------------------------------------------------------------------------

function stop(order) {
  const progress = (phase, cancelled, closed, flatness) =>
    say("stop_progress", {
      stop_id: order.stop_id,
      stop_epoch: order.stop_epoch,
      phase,
      latched: true,
      in_flight: 0,
      orders_cancelled: cancelled,
      orders_remaining: 2 - cancelled,
      positions_liquidated: closed,
      positions_remaining: 1 - closed,
      flatness,
      flatness_as_of: flatness === "UNKNOWN" ? null : new Date().toISOString(),
      flatness_reason: flatness === "UNKNOWN" ? "not read yet" : null,
      residuals: [],
    });
  if (!latch.add(order)) return; // the gate is closed and the file is synced
  tell("stop", { stop_id: order.stop_id, level: order.level, scope: order.scope });
  progress("frozen", 0, 0, "UNKNOWN");
  if (["CANCEL", "FLATTEN"].includes(order.level)) progress("cancelled", 2, 0, "NOT_FLAT");
  if (order.level === "FLATTEN") progress("flattened", 2, 1, "FLAT");
  progress("verified", 2, 1, order.level === "FLATTEN" ? "FLAT" : "UNKNOWN");
}

function release({ stop_ids, epoch, resume }) {
  latch.release(stop_ids, epoch);
  tell("released", { stop_ids, resume, level: latch.level() });
}

function update(command) {
  const { request_id, strategy_id, stop_epoch, expires_ms } = command;
  let answer = answers.get(request_id);
  if (!answer) {
    const [error, reason] = problem(strategy_id, stop_epoch, expires_ms, command.parameters);
    if (!error) {
      Object.assign(parameters, command.parameters);
      version = command.version;
    }
    const status = error ? "failed" : "applied";
    answer = { request_id, strategy_id, status, parameters: { ...parameters }, version, ...(error && { error, reason }) };
    answers.set(request_id, answer);
  }
  tell("parameters", { status: answer.status, parameters: answer.parameters });
  say("parameter_result", answer, { re: request_id });
}

function problem(strategyId, stopEpoch, expiresMs, wanted) {
  if (strategyId !== "ma") return ["error_unknown_strategy", "there is no such strategy"];
  if (stopEpoch < latch.epoch) return ["error_stale_epoch", "a stop came after this was decided"];
  if (expiresMs <= 0) return ["error_expired", "too late"];
  const outside = Object.entries(wanted).find(([key, value]) => !SCHEMA[key] || value < SCHEMA[key].minimum || value > SCHEMA[key].maximum);
  return outside ? ["error_invalid_parameters", `${outside[0]} is outside its range`] : [null, null];
}

// --- what a person or a test wants of it -----------------------------------------------------------------------------

const WISHES = {
  log({ first, count }) {
    for (let n = first; n < first + count; n++) {
      const id = `${engineId}-log-${n}`;
      const at = new Date().toISOString();
      say("trade_log", { id, category: "Trade", message: `BUY 005930: ${n}`, timestamp: at, reason: "crossed" }, { id });
    }
  },
  async refresh() {
    token = await freshToken();
    write("auth", { token }, { id: "auth-1" });
  },
  malformed() {
    say("trade_log", { id: "bad", category: "Order", message: "no such category", timestamp: new Date().toISOString() }, { id: "bad" });
  },
  leave() {
    leaving = true;
    write("goodbye", { cause: "stopped" });
    socket.close(1000);
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const wish = JSON.parse(line);
    WISHES[wish.do](wish);
  })
  .on("close", () => {
    if (!leaving) process.exit(0); // nobody is there any more
  });
connect();
