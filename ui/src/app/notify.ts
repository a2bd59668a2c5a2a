/** Tells of a new stop or a serious alert by the browser's own notification while nobody looks at this page. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { readSettings, SETTINGS_KEY } from "../panels/settings/read";
import { useOpenStops } from "../panels/stop/StopBanner";
import { codeText, levelWord, saidWord, scopeWord } from "../panels/words";
import { useItems, useTopic } from "../store/live";
import { useT } from "../store/preferences";

/** Only at a person's click: browsers refuse the question otherwise. */
export function askToNotify(): void {
  if ("Notification" in window && Notification.permission === "default") void Notification.requestPermission();
}

export function useNotifications(): void {
  const t = useT();
  const settings = useQuery({ queryKey: SETTINGS_KEY, queryFn: readSettings, enabled: false });
  const wanted = settings.data?.value.system_preferences.notifications_enabled ?? false;
  const loaded = useTopic("stops").loaded;
  const stops = useOpenStops();
  const alerts = useItems("alerts").filter((alert) => alert.state === "open" && (alert.severity === "critical" || alert.severity === "error"));
  const told = useRef<Set<string> | null>(null);
  const news = [
    ...stops.map((stop) => [stop.stop_id, `${t(stop.drill ? "stop.title.drill" : "stop.banner", { scope: scopeWord(stop.scope, t) })} · ${levelWord(stop.level, t)}`] as const),
    ...alerts.map((alert) => [alert.id, codeText(alert.code, t) ?? saidWord(alert.reason, t)] as const),
  ];
  useEffect(() => {
    if (!loaded) return;
    const known = told.current;
    told.current = new Set([...(known ?? []), ...news.map(([id]) => id)]);
    if (!known || !wanted || !document.hidden || !("Notification" in window) || Notification.permission !== "granted") return;
    for (const [id, text] of news) if (!known.has(id)) new Notification("Watchkeeper", { body: text, tag: id });
  });
}
