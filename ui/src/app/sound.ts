/** Two tones when a stop begins, and again and again while something critical waits for a person. */
import { useEffect, useRef } from "react";
import { useOpenStops } from "../panels/stop/StopBanner";
import { useItems, useTopic } from "../store/live";
import { useLook } from "../store/preferences";

const REPEAT_MS = 6_000;
const TONES = { stop: [660, 440], alarm: [880, 660, 880] } as const;
const TONE_SECONDS = 0.18;
let context: AudioContext | null = null;

/** Browsers make no sound before a person has touched the page; without a device there is none at all. */
export async function play(kind: keyof typeof TONES): Promise<void> {
  try {
    context ??= new AudioContext();
    if (context.state === "suspended") await context.resume();
    const start = context.currentTime;
    TONES[kind].forEach((frequency, i) => tone(context!, frequency, start + i * (TONE_SECONDS + 0.04)));
  } catch {
    // What is heard is always on the screen too.
  }
}

function tone(audio: AudioContext, frequency: number, at: number): void {
  const oscillator = new OscillatorNode(audio, { frequency, type: "triangle" });
  const volume = new GainNode(audio, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.25, at + 0.02);
  volume.gain.linearRampToValueAtTime(0, at + TONE_SECONDS);
  oscillator.connect(volume).connect(audio.destination);
  oscillator.start(at);
  oscillator.stop(at + TONE_SECONDS);
}

export function useSounds(): void {
  const { sound } = useLook();
  const loaded = useTopic("stops").loaded;
  const stops = useOpenStops();
  const waiting = useItems("alerts").some((alert) => alert.state === "open" && alert.severity === "critical");
  const known = useRef<Set<string> | null>(null);
  useEffect(() => {
    if (!loaded) return;
    const before = known.current;
    known.current = new Set(stops.map((stop) => stop.stop_id));
    if (sound && before && stops.some((stop) => !before.has(stop.stop_id))) void play("stop");
  });
  useEffect(() => {
    if (!sound || !waiting) return;
    const timer = setInterval(() => void play("alarm"), REPEAT_MS);
    return () => clearInterval(timer);
  }, [sound, waiting]);
}
