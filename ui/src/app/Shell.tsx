import { useQuery } from "@tanstack/react-query";
import { useEffect, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { age } from "../i18n/format";
import { Button } from "../kit/Button";
import { Icon, type Shape } from "../kit/icons";
import { Status, type Look } from "../kit/Status";
import { Toasts } from "../kit/Toasts";
import { retryNow } from "../link/link";
import { retryIn, type Liveness } from "../link/machine";
import { logout, type Session } from "../link/session";
import { Mark, SignInAgain } from "../panels/Login";
import { readSettings, SETTINGS_KEY } from "../panels/settings/read";
import { openStopDialog, pressStopKey } from "../panels/stop/ask";
import { onlyDrills, StopBanner, useOpenStops } from "../panels/stop/StopBanner";
import { StopDialogHost } from "../panels/stop/StopDialog";
import { useNow } from "../store/clock";
import { useNotifications } from "./notify";
import { SoundButton, Sounds } from "./Sounds";
import { useLink, useTopic } from "../store/live";
import { hasOwnLook, setLook, useLook, useT } from "../store/preferences";
import { toast } from "../store/toasts";
import { may } from "../wire/common";
import { errorText, partWord } from "../panels/words";

type Signed = Extract<Session, { phase: "in" | "over" }>;

const PAGES = [
  { href: "/", key: "overview", shape: "overview" },
  { href: "/strategies", key: "strategies", shape: "strategies" },
  { href: "/terminal", key: "terminal", shape: "terminal" },
  { href: "/health", key: "health", shape: "health" },
  { href: "/stops", key: "stops", shape: "stops" },
  { href: "/settings", key: "settings", shape: "settings" },
] as const satisfies readonly { href: string; key: string; shape: Shape }[];

export function Shell({ session, children }: { session: Signed; children: ReactNode }) {
  const t = useT();
  useShortcuts();
  useTop();
  useTitle();
  useAccountLook(session);
  useNotifications();
  return (
    <>
      <a className="skip" href="#main">
        {t("skip")}
      </a>
      <Header session={session} />
      <div className="banners">
        <LinkBanner />
        <StopBanner />
        <DegradedBanner />
        <Sounds />
      </div>
      <div className="frame">
        <Nav />
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
      <StopDialogHost />
      {session.phase === "over" && <SignInAgain username={session.user.username} />}
      <Toasts />
    </>
  );
}

function Header({ session }: { session: Signed }) {
  const t = useT();
  const { language, theme } = useLook();
  return (
    <header className="header">
      <Link href="/" className="brand" data-testid="brand">
        <Mark size={26} />
        <span>Watchkeeper</span>
      </Link>
      <LinkBadge />
      <div className="header-end">
        <Button kind="quiet" small testId="language-toggle" lang={language === "ko" ? "en" : "ko"} onClick={() => setLook({ language: language === "ko" ? "en" : "ko" })}>
          {language === "ko" ? "EN" : "한국어"}
        </Button>
        <Button kind="quiet" small testId="theme-toggle" onClick={() => setLook({ theme: theme === "light" ? "dark" : "light" })}>
          {theme === "light" ? t("theme.dark") : t("theme.light")}
        </Button>
        <SoundButton />
        <span className="who" data-testid="user">
          <b>{session.user.username}</b>
          <small>{t(`role.${session.user.role}`)}</small>
        </span>
        <Button kind="quiet" small testId="logout" onClick={() => void logout().catch((error: unknown) => toast("crit", errorText(error, t)))}>
          {t("logout")}
        </Button>
      </div>
      <button type="button" className="stop-button" onClick={() => openStopDialog()} aria-label={t("stop.button.name")} aria-keyshortcuts="Control+Shift+K Control+Shift+." title={t("stop.keys")} data-testid="stop-open">
        <Icon shape="octagon" size={18} />
        <span>{t("stop.button")}</span>
      </button>
    </header>
  );
}

function linkLook(liveness: Liveness, t: ReturnType<typeof useT>): Look {
  if (liveness === "live") return { shape: "dot", tone: "ok", word: t("link.live") };
  if (liveness === "stale") return { shape: "triangle", tone: "warn", word: t("link.stale") };
  if (liveness === "offline") return { shape: "square", tone: "crit", word: t("link.offline") };
  return { shape: "diamond", tone: "idle", word: t("link.loading") };
}

function LinkBadge() {
  const t = useT();
  const { liveness } = useLink();
  return (
    <span role="status" data-testid="link-badge" data-liveness={liveness}>
      <Status look={linkLook(liveness, t)} />
    </span>
  );
}

/** Says that what is on the screen is old, how old, and what is being done about it. The page itself stays usable. */
function LinkBanner() {
  const t = useT();
  const { language } = useLook();
  const link = useLink();
  useNow();
  if (link.liveness !== "stale" && link.liveness !== "offline") return null;
  const clock = performance.now();
  const silent = link.currentAt === null ? null : age(Math.max(0, clock - link.currentAt), language);
  const retry = retryIn(link, clock);
  const offline = link.liveness === "offline";
  return (
    <div className={`link-banner ${offline ? "banner-crit" : "banner-warn"}`} role={offline ? "alert" : "status"} data-testid={offline ? "offline-banner" : "stale-banner"}>
      <Icon shape={offline ? "square" : "triangle"} size={14} />
      <p>
        {link.refusal ? (
          <>
            {t("link.refused")} <code>{link.refusal.reason || link.refusal.code}</code>
          </>
        ) : offline ? (
          silent === null ? (
            t("link.offline.never")
          ) : (
            t("link.offline.text", { age: silent })
          )
        ) : (
          t("link.stale.text", { age: silent ?? "–" })
        )}
        {retry !== null && retry > 1_000 && <span className="banner-faint"> {t("link.retry_in", { age: age(retry, language) })}</span>}
      </p>
      {offline && (
        <Button small className="banner-link" testId="link-retry" onClick={retryNow}>
          {t("link.retry")}
        </Button>
      )}
    </div>
  );
}

function DegradedBanner() {
  const t = useT();
  const platform = useTopic("system").items.get("platform");
  if (!platform || platform.degraded.length === 0) return null;
  return (
    <div className="link-banner banner-warn" role="status" data-testid="degraded-banner">
      <Icon shape="triangle" size={14} />
      <p>
        {platform.database === "down" ? t("degraded.database") : t("degraded.parts")} <span className="banner-faint">{platform.degraded.map((part) => partWord(part, t)).join(" · ")}</span>
      </p>
    </div>
  );
}

function Nav() {
  const t = useT();
  const [location] = useLocation();
  const open = useOpenStops().length;
  return (
    <nav className="nav" aria-label={t("nav.label")}>
      <ul>
        {PAGES.map(({ href, key, shape }, i) => (
          <li key={key}>
            <Link href={href} aria-current={(href === "/" ? location === "/" : location.startsWith(href)) ? "page" : undefined} data-testid={`nav-${key}`} title={String(i + 1)}>
              <Icon shape={shape} size={16} />
              <span>{t(`nav.${key}`)}</span>
              {key === "stops" && open > 0 && <span className="nav-count">{open}</span>}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** Ctrl+Shift+K, which browsers use themselves, or Ctrl+Shift+. instead. */
const isStopKey = (event: KeyboardEvent) => event.ctrlKey && event.shiftKey && (event.code === "KeyK" || event.code === "Period" || event.key === ".");

/** The stop's key reaches it from everywhere, fields included. Single keys act only outside fields (WCAG 2.1.4). */
function useShortcuts(): void {
  const [, navigate] = useLocation();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isStopKey(event)) {
        event.preventDefault();
        if (!event.repeat) pressStopKey(Date.now());
        return;
      }
      const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const page = PAGES[Number(event.key) - 1];
      if (page) navigate(page.href);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [navigate]);
}

/** Another page begins at its top, whichever place of the last one was looked at. */
function useTop(): void {
  const [location] = useLocation();
  useEffect(() => void scrollTo(0, 0), [location]);
}

/** The tab's own title and picture tell of a stop or a lost link to someone who looks at another tab. */
function useTitle(): void {
  const t = useT();
  const { liveness } = useLink();
  const open = useOpenStops();
  const state = open.length === 0 ? null : onlyDrills(open) ? "drill" : "stop";
  useEffect(() => {
    const stopped = { drill: `◇ ${t("stop.banner.drill")}`, stop: `⛔ ${t("stop.banner.short")}` };
    const marks = [liveness === "offline" && `✕ ${t("link.offline")}`, state && stopped[state]].filter(Boolean);
    document.title = [...marks, "Watchkeeper"].join(" · ");
    document.querySelector("link[rel=icon]")?.setAttribute("href", `/favicon${state ? `-${state}` : ""}.svg`);
  }, [liveness, state, t]);
}

/** The account's language, theme and colours, in a browser where nobody has chosen yet. */
function useAccountLook(session: Signed): void {
  const settings = useQuery({ queryKey: SETTINGS_KEY, queryFn: readSettings, enabled: session.phase === "in" && may(session.user.role, "operator") });
  const first = settings.data !== undefined;
  useEffect(() => {
    const wish = settings.data?.value.system_preferences;
    if (wish && !hasOwnLook()) setLook({ language: wish.language, updown: wish.updown, theme: wish.theme });
  }, [first]);
}
