// Checks JSON field by field; an error names the field.

export type Fields = Readonly<Record<string, unknown>>;

export function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw new Error(`${what}: not a list`);
  return value;
}

export function record(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null) throw new Error(`${what}: not an object`);
  return value as Fields;
}

export function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new Error(`${name}: not a text`);
  return shown(value);
}

/** Without its characters that have no glyph of their own and may change how the others look: each becomes an escape.
 * `src/escape.rs` escapes the same ones. */
export function shown(value: string): string {
  const escape = (c: string) => `\\u{${c.codePointAt(0)?.toString(16)}}`;
  return value.replace(/(?![\u{fe0e}\u{fe0f}])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, escape);
}

export function number(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number") throw new Error(`${name}: not a number`);
  return value;
}

export function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== "boolean") throw new Error(`${name}: neither true nor false`);
  return value;
}

/** `null` where the field is null or missing, otherwise what `read` makes of it. */
export function optional<T>(fields: Fields, name: string, read: (fields: Fields, name: string) => T): T | null {
  return fields[name] === undefined || fields[name] === null ? null : read(fields, name);
}
