/**
 * What is heard. The alarm is one endless piece of sound and needs no timer: browsers slow the timers of a page that
 * nobody looks at. Sound that cannot be heard is a state of its own, and nobody can mute it for good.
 */
import { useSyncExternalStore } from "react";

/** `blocked`: the browser waits for a touch of the page; `none`: it has no sound at all. */
export type Sound = "starting" | "ready" | "blocked" | "none";

export const MUTE_MS = 15 * 60_000;
/** Percent. An alarm can be made low but not silent: that is a mute, which ends. */
export const VOLUMES = { least: 20, most: 100 } as const;
const REPEAT_SECONDS = 6;
const TONES = { stop: [660, 440], alarm: [880, 660, 880] } as const;
const TONE_SECONDS = 0.18;
const GAP_SECONDS = 0.04;
const LOUDNESS = 0.25;
/** A context takes a moment to run, even where it may. */
const SETTLE_MS = 1_000;
const KEY = "watchkeeper.muted_until";
const VOLUME_KEY = "watchkeeper.volume";

const listeners = new Set<() => void>();
let context: AudioContext | null = null;
let sound: Sound = "starting";
let alarm: AudioBufferSourceNode | null = null;
let until = stored(KEY, 0);
let gain: GainNode | null = null;
let volume = inRange(stored(VOLUME_KEY, VOLUMES.most));

function tell(): void {
  for (const listener of listeners) listener();
}

function look(): void {
  const next = context === null ? "none" : context.state === "running" ? "ready" : "blocked";
  if (next === sound) return;
  sound = next;
  tell();
}

/** Asks for sound: at the start, and at every touch of the page for as long as there is none. */
export function wake(): void {
  if (context?.state === "running") return;
  try {
    if (context === null || context.state === "closed") {
      alarm = null;
      context = new AudioContext();
      context.addEventListener("statechange", look);
      gain = context.createGain();
      gain.gain.value = volume / 100;
      gain.connect(context.destination);
    }
    // Without a touch this neither succeeds nor fails; the change of state tells.
    context.resume().catch(() => undefined);
    setTimeout(look, SETTLE_MS);
  } catch {
    context = null; // no device, or no such thing in this browser
    look();
  }
}

/** The tones once, then silence to the end of `seconds`. */
function piece(audio: AudioContext, kind: keyof typeof TONES, seconds: number): AudioBufferSourceNode {
  const buffer = audio.createBuffer(1, Math.ceil(seconds * audio.sampleRate), audio.sampleRate);
  const samples = buffer.getChannelData(0);
  TONES[kind].forEach((frequency, i) => {
    const start = Math.round(i * (TONE_SECONDS + GAP_SECONDS) * audio.sampleRate);
    const length = Math.round(TONE_SECONDS * audio.sampleRate);
    for (let n = 0; n < length; n++) {
      const shape = Math.min(1, (n / length) * 9) * (1 - n / length);
      const phase = (n * frequency) / audio.sampleRate;
      samples[start + n] = LOUDNESS * shape * (4 * Math.abs(phase - Math.floor(phase + 0.5)) - 1);
    }
  });
  const source = audio.createBufferSource();
  source.buffer = buffer;
  source.connect(gain ?? audio.destination);
  return source;
}

/** Once, and only if it is heard now: nothing piles up for later. */
export function playStop(): void {
  if (context?.state === "running") piece(context, "stop", 1).start();
}

/** Again and again until it is turned off; where sound is blocked it begins with the touch that frees it. */
export function ring(on: boolean): void {
  if (!on) {
    alarm?.stop();
    alarm = null;
  } else if (context !== null && alarm === null) {
    alarm = piece(context, "alarm", REPEAT_SECONDS);
    alarm.loop = true;
    alarm.start();
  }
}

function stored(key: string, otherwise: number): number {
  try {
    return Number(localStorage.getItem(key) ?? otherwise);
  } catch {
    return otherwise;
  }
}

function keep(key: string, value: number): void {
  try {
    localStorage.setItem(key, String(value));
  } catch {
    // It is forgotten at the next load, which is the safe side.
  }
}

function inRange(percent: number): number {
  return Number.isFinite(percent) ? Math.min(VOLUMES.most, Math.max(VOLUMES.least, percent)) : VOLUMES.most;
}

export function setVolume(percent: number): void {
  volume = inRange(percent);
  if (gain) gain.gain.value = volume / 100;
  keep(VOLUME_KEY, volume);
  tell();
}

/** Until when, in this machine's milliseconds; 0: not at all. */
export function mute(at: number): void {
  until = at;
  keep(KEY, at);
  tell();
}

/** What is left of it; a stored time that lies further ahead than a mute may last is none. */
export function mutedFor(now: number): number {
  const left = until - now;
  return left > 0 && left <= MUTE_MS ? left : 0;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useSound(): Sound {
  return useSyncExternalStore(subscribe, () => sound);
}

export function useVolume(): number {
  return useSyncExternalStore(subscribe, () => volume);
}

export function useMuted(now: number): number {
  useSyncExternalStore(subscribe, () => until);
  return mutedFor(now);
}
