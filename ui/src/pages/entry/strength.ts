// How hard a password is to guess, roughly: a hint for people, not a rule. The rule is the server's: ten characters.

/** From nothing to very good. */
export interface Strength {
  /** 0 to 4. */
  readonly level: number;
  readonly text: string;
}

/** Least characters that the server takes. */
export const CHARACTERS_MIN = 10;

const USUAL = [
  "password",
  "passwort",
  "raspberry",
  "bramble",
  "qwert",
  "12345",
  "letmein",
  "admin",
  "welcome",
];
const LEVELS = ["Easy to guess", "Easy to guess", "Fair", "Good", "Very good"] as const;

/** Characters that tell little: repeated ones, steps of one, and what stands in every list of passwords. */
function told(password: string): number {
  const lower = password.toLowerCase();
  let characters = 0;
  for (let at = 0; at < password.length; at += 1) {
    const step = at === 0 ? 9 : password.charCodeAt(at) - password.charCodeAt(at - 1);
    characters += Math.abs(step) <= 1 ? 0.25 : 1;
  }
  for (const word of USUAL) if (lower.includes(word)) characters -= word.length * 0.8;
  return Math.max(0, characters);
}

/** Judges a password. */
export function strengthOf(password: string): Strength {
  const length = [...password].length;
  if (length === 0) return { level: 0, text: `At least ${CHARACTERS_MIN} characters; several words do well` };
  if (length < CHARACTERS_MIN) return { level: 0, text: `${CHARACTERS_MIN - length} more characters` };
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password)).length;
  const bits = told(password) * (2.6 + 0.9 * kinds);
  const level = bits < 28 ? 1 : bits < 45 ? 2 : bits < 64 ? 3 : 4;
  return { level, text: LEVELS[level] ?? "" };
}
