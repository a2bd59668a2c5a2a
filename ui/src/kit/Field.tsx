import { useId, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes } from "react";

interface Common {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  testId: string;
}

export function TextField({ label, hint, error, testId, className, ...rest }: Common & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  const about = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input {...rest} id={id} className={`input ${className ?? ""}`} data-testid={testId} aria-invalid={error ? true : undefined} aria-describedby={about || undefined} />
      {hint && (
        <span className="field-hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {error && (
        <span className="field-error" id={`${id}-error`} data-testid={`${testId}-error`}>
          {error}
        </span>
      )}
    </div>
  );
}

/** Tells a password manager whose password the form asks for. */
export function WhosePassword({ username }: { username: string }) {
  return <input type="text" name="username" autoComplete="username" value={username} readOnly hidden />;
}

export function SelectField({ label, hint, error, testId, options, hideLabel = false, className, ...rest }: Common & { options: readonly (readonly [string, string])[]; hideLabel?: boolean } & SelectHTMLAttributes<HTMLSelectElement>) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id} className={hideLabel ? "visually-hidden" : undefined}>
        {label}
      </label>
      <select {...rest} id={id} className={`input ${className ?? ""}`} data-testid={testId} aria-invalid={error ? true : undefined}>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
      {hint && <span className="field-hint">{hint}</span>}
      {error && <span className="field-error">{error}</span>}
    </div>
  );
}

export function CheckField({ label, hint, testId, ...rest }: { label: ReactNode; hint?: ReactNode; testId: string } & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <label className="check">
      <input type="checkbox" {...rest} data-testid={testId} />
      <span>
        {label}
        {hint && <small className="field-hint"> {hint}</small>}
      </span>
    </label>
  );
}
