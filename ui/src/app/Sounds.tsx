import { useEffect, useRef } from "react";
import { Button } from "../kit/Button";
import { Icon } from "../kit/icons";
import { useOpenStops } from "../panels/stop/StopBanner";
import { useNow } from "../store/clock";
import { useItems, useTopic } from "../store/live";
import { useT } from "../store/preferences";
import { mute, MUTE_MS, playStop, ring, useMuted, useSound, wake } from "./sound";

const minutes = (ms: number) => Math.ceil(ms / 60_000);

/**
 * Two tones when a stop begins, and an alarm while something critical waits for a person. What is new ends a mute: it
 * was asked for by somebody who did not know of it. Says so where nothing would be heard.
 */
export function Sounds() {
  const t = useT();
  const sound = useSound();
  const muted = useMuted(useNow());
  const [stopsLoaded, alertsLoaded] = [useTopic("stops").loaded, useTopic("alerts").loaded];
  const loaded = stopsLoaded && alertsLoaded;
  const stops = useOpenStops().map((stop) => stop.stop_id);
  const critical = useItems("alerts")
    .filter((alert) => alert.state === "open" && alert.severity === "critical")
    .map((alert) => `${alert.id} ${alert.raised_at}`);
  const waiting = critical.length > 0;
  const known = useRef<Set<string> | null>(null);

  useEffect(() => {
    wake();
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, wake, true);
    return () => {
      for (const kind of ["pointerdown", "keydown"]) removeEventListener(kind, wake, true);
      ring(false);
    };
  }, []);
  useEffect(() => {
    if (!loaded) return;
    const before = known.current;
    const news = before === null ? [] : [...stops, ...critical].filter((each) => !before.has(each));
    known.current = new Set([...(before ?? []), ...stops, ...critical]);
    if (news.length > 0) mute(0);
    if (news.some((each) => stops.includes(each))) playStop();
  });
  const sounding = waiting && muted === 0 && sound !== "none";
  useEffect(() => ring(sounding), [sounding, sound]);

  if (sound === "none" ? !waiting : sound !== "blocked" && !(muted > 0 && waiting)) return null;
  return (
    <div className="link-banner banner-warn" role="status" data-testid="sound-banner">
      <Icon shape="mute" size={14} />
      <p>{sound === "none" ? t("sound.none") : sound === "blocked" ? t("sound.blocked") : t("sound.muted", { n: minutes(muted) })}</p>
      {sound !== "none" && (
        <Button small className="banner-link" testId="sound-wake" onClick={() => (sound === "blocked" ? wake() : mute(0))}>
          {t("sound.wake")}
        </Button>
      )}
    </div>
  );
}

/** Mutes for a while, and tells for how long still. */
export function SoundButton() {
  const t = useT();
  const now = useNow();
  const muted = useMuted(now);
  return (
    <Button
      kind="quiet"
      small
      testId="sound-toggle"
      aria-pressed={muted > 0}
      aria-label={t("sound.mute", { n: minutes(MUTE_MS) })}
      title={t("sound.mute", { n: minutes(MUTE_MS) })}
      onClick={() => {
        mute(muted > 0 ? 0 : Date.now() + MUTE_MS);
        if (muted > 0) playStop();
      }}
    >
      <Icon shape={muted > 0 ? "mute" : "sound"} size={14} />
      {muted > 0 && <span aria-hidden="true">{t("sound.left", { n: minutes(muted) })}</span>}
    </Button>
  );
}
