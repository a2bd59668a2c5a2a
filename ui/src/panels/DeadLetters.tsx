import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import * as v from "valibot";
import { dateTime } from "../i18n/format";
import { Button } from "../kit/Button";
import { Icon } from "../kit/icons";
import { Panel } from "../kit/Panel";
import { call } from "../link/rest";
import { useSession } from "../link/session";
import { useT } from "../store/preferences";
import { toast } from "../store/toasts";
import { may } from "../wire/common";
import { DeadLetter, listOf } from "../wire/rest";
import { errorText, saidWord } from "./words";

const KEY = ["dead-letters"];
const REFRESH_MS = 15_000;
const MOST = 20;
const PAGES = 20;
type DeadLetterList = { items: DeadLetter[]; next: string | number | null };
/** The only kind that can go its way once more; the others can be looked at and discarded. */
const WEBHOOK = "alert_webhook";

/** The list is oldest first, with what was decided long ago in it. */
async function readAll(): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  let after: string | number | null = null;
  for (let page = 0; page < PAGES; page++) {
    const { value }: { value: DeadLetterList } = await call({ path: `/api/dead-letters?limit=1000${after === null ? "" : `&after=${encodeURIComponent(String(after))}`}`, answer: listOf(DeadLetter) });
    found.push(...value.items);
    after = value.next;
    if (after === null) break;
  }
  return found.filter((letter) => letter.state === "open").toReversed();
}

/** What could not be delivered, the newest first; absent while there is nothing. */
export function DeadLetters() {
  const t = useT();
  const session = useSession();
  const queries = useQueryClient();
  const letters = useQuery({
    queryKey: KEY,
    queryFn: readAll,
    refetchInterval: REFRESH_MS,
    retry: false,
  });
  const decide = useMutation({
    mutationFn: ([id, what]: readonly [string, "retry" | "discard"]) => call({ method: "POST", path: `/api/dead-letters/${encodeURIComponent(id)}/${what}`, body: {}, answer: v.unknown() }),
    onError: (error) => toast("crit", errorText(error, t)),
    onSettled: () => queries.invalidateQueries({ queryKey: KEY }),
  });
  const open = letters.data ?? [];
  if (open.length === 0) return null;
  const allowed = "user" in session && may(session.user.role, "risk");
  return (
    <Panel title={t("letters.title", { n: open.length })} testId="dead-letters" flush>
      <ul className="alerts">
        {open.slice(0, MOST).map((letter) => (
          <li key={letter.id} className="tone-warn" data-testid={`letter-${letter.id}`}>
            <Icon shape="triangle" size={12} />
            <div>
              <p>
                <b>{letter.kind === WEBHOOK ? t("letters.webhook") : t("letters.message", { kind: letter.kind })}</b>
                {letter.engine_id && <span className="faint mono"> {letter.engine_id}</span>}
              </p>
              <p className="small soft">
                {saidWord(letter.reason, t)} · {dateTime(letter.at)}
              </p>
            </div>
            {letter.kind === WEBHOOK && (
              <Button small testId={`letter-retry-${letter.id}`} disabled={!allowed || decide.isPending} onClick={() => decide.mutate([letter.id, "retry"])}>
                {t("letters.retry")}
              </Button>
            )}
            <Button small kind="quiet" testId={`letter-discard-${letter.id}`} disabled={!allowed || decide.isPending} onClick={() => decide.mutate([letter.id, "discard"])}>
              {t("letters.discard")}
            </Button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
