import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { dateTime } from "../../i18n/format";
import { Button } from "../../kit/Button";
import { Panel } from "../../kit/Panel";
import { Status } from "../../kit/Status";
import { newId } from "../../link/ids";
import { call } from "../../link/rest";
import { useSession } from "../../link/session";
import { useT } from "../../store/preferences";
import { toast } from "../../store/toasts";
import { may } from "../../wire/common";
import { UpdateResult, type Strategy } from "../../wire/items";
import { listOf, ParameterVersion, type StrategyParameters } from "../../wire/rest";
import { useWho } from "../who";
import { errorText } from "../words";
import { inOrder, labelOf, parametersKey, withUnit } from "./change";
import { outcomeLook } from "./ParameterForm";

const SHOWN = 10;

export function ParameterHistory({ strategy, stored, etag, offline }: { strategy: Strategy; stored: StrategyParameters | null; etag: string | null; offline: boolean }) {
  const t = useT();
  const session = useSession();
  const who = useWho();
  const queries = useQueryClient();
  const base = `/api/engines/${encodeURIComponent(strategy.engine_id)}/parameters`;
  const key = parametersKey(strategy.engine_id, strategy.id);
  const history = useQuery({
    queryKey: [...key, "history"],
    queryFn: async () => (await call({ path: `${base}/history?strategy_id=${encodeURIComponent(strategy.id)}`, answer: listOf(ParameterVersion) })).value.items,
  });
  const rollback = useMutation({
    mutationFn: async (version: number) =>
      (
        await call({
          method: "POST",
          path: `${base}/rollback`,
          headers: { "if-match": etag ?? `"${stored?.version ?? 0}"` },
          body: { strategy_id: strategy.id, version, request_id: newId() },
          answer: UpdateResult,
          timeoutMs: 15_000,
        })
      ).value,
    onSuccess: (result) => (result.status === "applied" ? toast("ok", t("apply.toast.applied", { name: strategy.name })) : toast("crit", result.reason ?? t(`update.${result.status}`))),
    onError: (error) => toast("crit", errorText(error, t)),
    onSettled: () => queries.invalidateQueries({ queryKey: key }),
  });
  const rows = (history.data ?? []).toSorted((a, b) => b.version - a.version).slice(0, SHOWN);
  if (rows.length === 0) return null;
  const allowed = "user" in session && may(session.user.role, "operator") && !offline && stored !== null;
  return (
    <Panel title={t("history.title")} testId="strategy-history" flush>
      <div className="table-scroll" tabIndex={0} role="region" aria-label={t("history.title")}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col" className="num">
                {t("history.version")}
              </th>
              <th scope="col">{t("history.at")}</th>
              <th scope="col">{t("history.by")}</th>
              <th scope="col">{t("history.status")}</th>
              <th scope="col">{t("history.values")}</th>
              <th scope="col">
                <span className="visually-hidden">{t("history.action")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.version} data-testid={`history-row-${row.version}`}>
                <td className="num">{row.version}</td>
                <td className="nowrap">{dateTime(row.at)}</td>
                <td>{who(row.user_id, row.username)}</td>
                <td title={row.reason ?? undefined}>
                  <Status look={outcomeLook(row.status, t)} />
                </td>
                <td className="soft">
                  {inOrder(Object.keys(row.parameters))
                    .map((name) => `${labelOf(name, strategy.parameter_schema[name], t)} ${withUnit(row.parameters[name] ?? 0, strategy.parameter_schema[name], t)}`)
                    .join(" · ")}
                </td>
                <td className="num">
                  <Button small testId={`history-rollback-${row.version}`} disabled={!allowed || rollback.isPending || row.version === stored?.version} onClick={() => rollback.mutate(row.version)}>
                    {t("history.rollback")}
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
