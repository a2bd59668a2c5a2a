import type { ButtonHTMLAttributes } from "react";

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: "primary" | "danger" | "quiet" | "plain";
  small?: boolean;
  /** While true the button says so to assistive technology and cannot be pressed again. */
  busy?: boolean;
  testId: string;
}

export function Button({ kind = "plain", small = false, busy = false, testId, className, disabled, ...rest }: Props) {
  const classes = ["button", kind !== "plain" && `button-${kind}`, small && "button-small", className].filter(Boolean).join(" ");
  return <button type="button" {...rest} className={classes} disabled={disabled || busy} aria-busy={busy || undefined} data-testid={testId} />;
}
