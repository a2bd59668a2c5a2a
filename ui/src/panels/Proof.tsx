/** The password before a dangerous step: the server wants a person who has just proved who they are. */
import type { FormEvent } from "react";
import { TextField, WhosePassword } from "../kit/Field";
import { Notice } from "../kit/Status";
import { ApiError } from "../link/errors";
import { useSession } from "../link/session";
import { useT } from "../store/preferences";
import { errorText } from "./words";

export function proofOf(event: FormEvent<HTMLFormElement>): { password: string; totp: string } {
  event.preventDefault();
  const form = new FormData(event.currentTarget);
  return { password: String(form.get("password")), totp: String(form.get("totp") ?? "") };
}

export function Proof({ error }: { error: unknown }) {
  const t = useT();
  const session = useSession();
  const refused = error instanceof ApiError && error.status === 401;
  return (
    <>
      {"user" in session && <WhosePassword username={session.user.username} />}
      <TextField label={t("release.password")} name="password" type="password" autoComplete="current-password" required hint={t("release.password.hint")} testId="stepup-password" />
      {refused && <TextField label={t("login.totp")} name="totp" inputMode="numeric" autoComplete="one-time-code" testId="stepup-totp" />}
      {error !== null && (
        <Notice tone="crit" shape="cross" role="alert" reveal testId="release-error">
          {errorText(error, t)}
        </Notice>
      )}
    </>
  );
}
