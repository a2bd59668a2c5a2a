import { Component, type ErrorInfo, type ReactNode } from "react";
import { currentT } from "../store/preferences";
import { Button } from "./Button";

interface Props {
  title: ReactNode;
  children: ReactNode;
  end?: ReactNode;
  beside?: ReactNode;
  testId: string;
  /** Data that is no longer live is drawn without colour. */
  dated?: boolean;
  flush?: boolean;
}

export function Panel({ title, children, end, beside, testId, dated = false, flush = false }: Props) {
  return (
    <section className={`panel${dated ? " dated" : ""}`} data-testid={testId}>
      <div className="panel-head">
        <h2>{title}</h2>
        {beside}
        {end && <div className="end">{end}</div>}
      </div>
      <Boundary>{flush ? children : <div className="panel-body">{children}</div>}</Boundary>
    </section>
  );
}

export function Empty({ title, children, testId }: { title: string; children?: ReactNode; testId: string }) {
  return (
    <div className="empty" data-testid={testId}>
      <strong>{title}</strong>
      {children}
    </div>
  );
}

export function Skeleton({ rows = 3 }: { rows?: number }) {
  return (
    <div className="skeletons" aria-hidden="true">
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} className="skeleton" />
      ))}
    </div>
  );
}

/** A panel that cannot be drawn takes only itself along. */
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    console.error("panel failed", error.message, info.componentStack);
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    const t = currentT();
    return (
      <div className="empty" role="alert">
        <strong>{t("panel.failed")}</strong>
        <Button testId="panel-reload" onClick={() => this.setState({ failed: false })}>
          {t("panel.reload")}
        </Button>
      </div>
    );
  }
}
