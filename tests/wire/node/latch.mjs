// The stops that hold, in a file that is synced before anybody is told that they do.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";

const RANK = { NORMAL: 0, REDUCE_ONLY: 1, HALT: 2, CANCEL: 3, FLATTEN: 4 };

export class Latch {
  constructor(path) {
    this.path = path;
    this.state = existsSync(path) ? "present" : "absent";
    const kept = this.state === "present" ? JSON.parse(readFileSync(path, "utf8")) : { epoch: 0, stops: [] };
    this.epoch = kept.epoch;
    this.stops = new Map(kept.stops.map((record) => [record.stop_id, record]));
  }

  records() {
    return [...this.stops.values()];
  }

  level() {
    return this.records().reduce((most, r) => (RANK[r.level] > RANK[most] ? r.level : most), "NORMAL");
  }

  /** False when it held already, at this level or above. */
  add({ stop_id, scope, level, stop_epoch, proof }) {
    const known = this.stops.get(stop_id);
    this.epoch = Math.max(this.epoch, stop_epoch);
    if (known && RANK[known.level] >= RANK[level] && known.stop_epoch >= stop_epoch) return false;
    this.stops.set(stop_id, { stop_id, scope, level, stop_epoch, proof });
    this.#sync();
    return true;
  }

  /** A snapshot: what holds comes in, only what is named as released goes. */
  apply({ epoch, effective, released }) {
    for (const record of effective) this.add(record);
    this.release(released, epoch);
  }

  release(ids, epoch) {
    for (const id of ids) this.stops.delete(id);
    this.epoch = Math.max(this.epoch, epoch);
    this.#sync();
  }

  #sync() {
    const file = openSync(`${this.path}.new`, "w", 0o600);
    writeSync(file, JSON.stringify({ epoch: this.epoch, stops: this.records() }));
    fsyncSync(file);
    closeSync(file);
    renameSync(`${this.path}.new`, this.path);
    this.state = "present";
  }
}
