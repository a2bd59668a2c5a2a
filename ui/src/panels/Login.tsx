import { useState, type FormEvent } from "react";
import { Button } from "../kit/Button";
import { TextField, WhosePassword } from "../kit/Field";
import { Dialog } from "../kit/Dialog";
import { Notice } from "../kit/Status";
import { ApiError } from "../link/errors";
import { login, restore, useSession } from "../link/session";
import { setLook, useLook, useT } from "../store/preferences";
import { useAskedStop } from "./stop/ask";
import { Ways } from "./stop/Ways";
import { errorText } from "./words";

function useSignIn(username: string) {
  const [state, setState] = useState<{ busy: boolean; error: unknown }>({ busy: false, error: null });
  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setState({ busy: true, error: null });
    try {
      await login(username || String(form.get("username")).trim(), String(form.get("password")), String(form.get("totp") ?? "").trim());
    } catch (error) {
      setState({ busy: false, error });
    }
  }
  const refused = state.error instanceof ApiError && state.error.status === 401;
  return { ...state, refused, submit };
}

export function Login() {
  const t = useT();
  const { language } = useLook();
  const session = useSession();
  const { busy, error, submit } = useSignIn("");
  const [code, setCode] = useState(false);
  const unreachable = session.phase === "out" && session.unreachable && error === null;
  return (
    <main className="login">
      <form className="login-card" onSubmit={submit} data-testid="login-form">
        <div className="login-head">
          <Mark />
          <div>
            <h1>Watchkeeper</h1>
            <p className="soft small">{t("login.tagline")}</p>
          </div>
        </div>
        {unreachable && (
          <Notice tone="crit" role="alert" testId="login-unreachable">
            {t("login.unreachable")}{" "}
            <button type="button" className="link" onClick={() => void restore()} data-testid="login-retry">
              {t("retry")}
            </button>
          </Notice>
        )}
        <TextField label={t("login.username")} name="username" autoComplete="username" required autoFocus spellCheck={false} testId="login-username" />
        <TextField label={t("login.password")} name="password" type="password" autoComplete="current-password" required testId="login-password" />
        {code && <TextField label={t("login.totp")} name="totp" inputMode="numeric" autoComplete="one-time-code" testId="login-totp" />}
        {error !== null && (
          <Notice tone="crit" shape="cross" role="alert" testId="login-error">
            {errorText(error, t)}
          </Notice>
        )}
        <Button kind="primary" type="submit" busy={busy} testId="login-submit" className="login-submit">
          {busy ? t("login.busy") : t("login.submit")}
        </Button>
        <div className="login-foot">
          {!code && (
            <button type="button" className="link" onClick={() => setCode(true)} data-testid="login-with-code">
              {t("login.with_code")}
            </button>
          )}
          <button type="button" className="link" onClick={() => setLook({ language: language === "ko" ? "en" : "ko" })} data-testid="login-language" lang={language === "ko" ? "en" : "ko"}>
            {language === "ko" ? "English" : "한국어"}
          </button>
        </div>
      </form>
    </main>
  );
}

/**
 * The session ended while the page was in use: sign in again over it, so that nothing typed is lost. Where it covers a
 * stop, it names the ways that need no session.
 */
export function SignInAgain({ username }: { username: string }) {
  const t = useT();
  const stopping = useAskedStop() !== null;
  const { busy, error, refused, submit } = useSignIn(username);
  return (
    <Dialog title={t("login.again")} onClose={() => {}} closable={false} testId="login-again">
      <form onSubmit={submit}>
        <div className="dialog-body">
          <p className="soft">{t("login.again.kept", { username })}</p>
          {stopping && (
            <Notice tone="crit" shape="octagon" role="alert" testId="login-again-stop">
              <p>{t("login.again.stop")}</p>
              <Ways />
            </Notice>
          )}
          <WhosePassword username={username} />
          <TextField label={t("login.password")} name="password" type="password" autoComplete="current-password" required data-autofocus testId="login-password" />
          {refused && <TextField label={t("login.totp")} name="totp" inputMode="numeric" autoComplete="one-time-code" testId="login-totp" />}
          {error !== null && (
            <Notice tone="crit" shape="cross" role="alert" reveal testId="login-error">
              {errorText(error, t)}
            </Notice>
          )}
        </div>
        <div className="dialog-foot">
          <Button testId="login-other" onClick={() => location.assign("/")}>
            {t("login.other")}
          </Button>
          <Button kind="primary" type="submit" busy={busy} testId="login-submit">
            {t("login.submit")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function Mark({ size = 34 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false" className="mark">
      <circle cx="16" cy="16" r="12" fill="none" stroke="var(--accent)" strokeWidth="2.4" />
      <path d="M16 16V7.6M16 16l5.6 3.4" stroke="var(--text)" strokeWidth="2.4" strokeLinecap="round" />
      <circle cx="16" cy="16" r="1.8" fill="var(--text)" />
    </svg>
  );
}
