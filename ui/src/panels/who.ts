/** Who did something, in the words of the people who read it. */
import { useSession } from "../link/session";
import { useT } from "../store/preferences";

/** The name that was recorded, or one's own; a word for what is no person; else the id, which is all that is known. */
export function useWho(): (id: string, name: string | null) => string {
  const t = useT();
  const session = useSession();
  return (id, name) => {
    if (id === "platform") return t("platform");
    if (id === "local") return t("who.local");
    return name ?? ("user" in session && session.user.id === id ? session.user.username : id);
  };
}
