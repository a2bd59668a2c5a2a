import { Button } from "../../kit/Button";
import { Dialog } from "../../kit/Dialog";
import { Notice } from "../../kit/Status";
import { useT } from "../../store/preferences";
import type { ParameterSpec, Strategy } from "../../wire/items";
import { labelOf, percentChange, withUnit, type Change } from "./change";

interface Props {
  strategy: Strategy;
  changes: readonly Change[];
  schema: Readonly<Record<string, ParameterSpec>>;
  onCancel: () => void;
  onConfirm: () => void;
}

export function ApplyDialog({ strategy, changes, schema, onCancel, onConfirm }: Props) {
  const t = useT();
  return (
    <Dialog title={t("apply.title", { name: strategy.name })} role="alertdialog" onClose={onCancel} testId="apply-dialog">
      <div className="dialog-body">
        <p className="soft">{t("apply.means", { engine: strategy.engine_id })}</p>
        <table className="table diff" data-testid="apply-diff">
          <thead>
            <tr>
              <th scope="col">{t("apply.parameter")}</th>
              <th scope="col" className="num">
                {t("apply.before")}
              </th>
              <th scope="col" className="num">
                {t("apply.after")}
              </th>
              <th scope="col" className="num">
                {t("apply.change")}
              </th>
            </tr>
          </thead>
          <tbody>
            {changes.map((change) => (
              <tr key={change.key} data-testid={`apply-diff-${change.key}`}>
                <th scope="row">{labelOf(change.key, schema[change.key], t)}</th>
                <td className="num soft">{change.from === null ? "–" : withUnit(change.from, schema[change.key], t)}</td>
                <td className="num">
                  <b>{withUnit(change.to, schema[change.key], t)}</b>
                </td>
                <td className="num">{percentChange(change) ?? "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {changes.some((change) => change.loosens) && (
          <Notice tone="warn" testId="apply-loosens">
            {t("apply.loosens", {
              names: changes
                .filter((change) => change.loosens)
                .map((change) => labelOf(change.key, schema[change.key], t))
                .join(", "),
            })}
          </Notice>
        )}
      </div>
      <div className="dialog-foot">
        <Button data-autofocus testId="apply-cancel" onClick={onCancel}>
          {t("cancel")}
        </Button>
        <Button kind="primary" testId="apply-confirm" onClick={onConfirm}>
          {t("apply.confirm", { n: changes.length })}
        </Button>
      </div>
    </Dialog>
  );
}
