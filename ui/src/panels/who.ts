/** Who did something, in the words of the people who read it. */
import { useSession } from "../link/session";
import type { Translate } from "../i18n";
import { useT } from "../store/preferences";
import { codeText } from "./words";

/** Triggers are named like the alert of the same condition. */
const triggerWord = (name: string, t: Translate): string => codeText(`error_${name}`, t) ?? name;

/** The name that was recorded, or one's own; a word for what is no person; else the id, which is all that is known. */
export function useWho(): (id: string, name: string | null) => string {
  const t = useT();
  const session = useSession();
  return (id, name) => {
    if (id === "platform") return t("platform");
    if (id === "local") return t("who.local");
    if (id.startsWith("trigger:")) return t("who.trigger", { name: triggerWord(id.slice(8), t) });
    return name ?? ("user" in session && session.user.id === id ? session.user.username : id);
  };
}
