// What was said and is not yet acknowledged, in a file: one line for a message, one line for its end.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";

export class Outbox {
  constructor(path) {
    this.letters = [];
    this.nextSeq = 1;
    this.acked = 0;
    if (existsSync(path)) this.#read(path);
    this.file = openSync(path, "a", 0o600);
  }

  #read(path) {
    const held = new Map();
    for (const line of readFileSync(path, "utf8").split("\n")) {
      try {
        const entry = JSON.parse(line);
        if (entry.end) held.delete(entry.end);
        else held.set(entry.id, { ...entry, seq: null, conflated: false });
      } catch {
        // the line that was being written when the process died
      }
    }
    this.letters = [...held.values()];
  }

  #write(entry) {
    writeSync(this.file, `${JSON.stringify(entry)}\n`);
    fsyncSync(this.file);
  }

  put(id, type, payload, re) {
    const letter = { id, type, payload, re, timestamp: new Date().toISOString() };
    this.#write(letter);
    this.letters.push({ ...letter, seq: null, conflated: false });
  }

  /** Only the newest of a kind waits, and only in memory. */
  putConflated(type, payload) {
    this.letters = this.letters.filter((l) => !(l.conflated && l.type === type && l.seq === null));
    this.letters.push({ id: undefined, type, payload, timestamp: new Date().toISOString(), seq: null, conflated: true });
  }

  /** The next letter to send, with its number; null when there is none or the window is full. */
  take(window) {
    const unsent = this.letters.filter((l) => l.seq === null);
    const letter = this.nextSeq - 1 - this.acked < window ? unsent[0] : unsent.find((l) => l.type === "stop_progress");
    if (!letter) return null;
    letter.seq = this.nextSeq++;
    return letter;
  }

  /** Everything up to seq is committed over there. False for a number that was never given. */
  acknowledge(seq) {
    if (seq >= this.nextSeq) return false;
    this.acked = Math.max(this.acked, seq);
    for (const letter of this.letters) if (letter.seq !== null && letter.seq <= seq && !letter.conflated) this.#write({ end: letter.id });
    this.letters = this.letters.filter((l) => l.seq === null || l.seq > seq);
    return true;
  }

  /** A refused message is not wanted again; its number stays behind until it is acknowledged. */
  refuse(seq) {
    for (const letter of this.letters) if (letter.seq === seq) Object.assign(letter, { conflated: true });
  }

  /** What was sent under numbers that are not acknowledged: to be sent again as it is. */
  sentUnacked() {
    return this.letters.filter((l) => l.seq !== null).sort((a, b) => a.seq - b.seq);
  }

  renumber() {
    this.letters = this.letters.filter((l) => !l.conflated);
    this.letters.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity));
    for (const letter of this.letters) letter.seq = null;
    this.nextSeq = 1;
    this.acked = 0;
  }

  close() {
    closeSync(this.file);
  }
}
