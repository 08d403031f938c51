// The search form: it writes TraceQL, and shows what it could have written of the query that is there.
import { useEffect, useState } from "preact/hooks";
import { tagNames, tagTexts } from "../../api/tempo";
import { timesOfRange } from "../../parts/asking";
import { useLive } from "../../state/live";
import type { TracesRoute } from "../../state/url";
import {
  type Condition,
  EMPTY_FORM,
  type Form,
  formQuery,
  isDuration,
  OPERATORS,
  queryForm,
} from "../../traceql/form";
import { attributeName, quoted } from "../../traceql/tokens";

const STATUSES = ["error", "ok", "unset"] as const;
const OFFERED_MAX = 300;

interface ComboProps {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly options: readonly string[];
  readonly placeholder: string;
  readonly onChange: (value: string) => void;
}

/** A text box that offers what is known; any other text is taken, too. */
function Combo({ id, label, value, options, placeholder, onChange }: ComboProps) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  const take = (next: string): void => {
    if (next !== value) onChange(next);
  };
  return (
    <label class="field" for={id}>
      <span>{label}</span>
      <input
        id={id}
        list={`${id}-list`}
        value={draft}
        placeholder={placeholder}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          const next = event.currentTarget.value;
          setDraft(next);
          // Chosen from the list, not typed letter by letter.
          if (options.includes(next) || next === "") take(next);
        }}
        onBlur={() => take(draft.trim())}
        onKeyDown={(event) => event.key === "Enter" && take(draft.trim())}
      />
      <datalist id={`${id}-list`}>
        {options.slice(0, OFFERED_MAX).map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </label>
  );
}

function Length({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  const take = (): void => {
    if (isDuration(draft) && draft !== value) onChange(draft);
  };
  return (
    <label class="field field-length">
      <span>{label}</span>
      <input
        value={draft}
        placeholder={label === "Longer than" ? "100ms" : "2s"}
        aria-invalid={!isDuration(draft)}
        onInput={(event) => setDraft(event.currentTarget.value.trim())}
        onBlur={take}
        onKeyDown={(event) => event.key === "Enter" && take()}
      />
    </label>
  );
}

interface TagProps {
  readonly of: Condition;
  readonly at: number;
  readonly names: readonly string[];
  readonly values: readonly string[];
  readonly onChange: (next: Condition) => void;
  readonly onRemove: () => void;
}

/** One condition on an attribute. */
function Tag({ of, at, names, values, onChange, onRemove }: TagProps) {
  return (
    <li class="tag-condition">
      <Combo
        id={`tag-${at}`}
        label="Attribute"
        value={of.tag}
        options={names}
        placeholder="span.http.route"
        onChange={(tag) => onChange({ ...of, tag })}
      />
      <select
        aria-label="Comparison"
        value={of.op}
        onChange={(event) => {
          const op = OPERATORS.find((one) => one === event.currentTarget.value);
          if (op) onChange({ ...of, op });
        }}
      >
        {OPERATORS.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
      <Combo
        id={`value-${at}`}
        label="Value"
        value={of.value}
        options={values}
        placeholder="value"
        onChange={(value) => onChange({ ...of, value })}
      />
      <button type="button" class="button-quiet" aria-label="Remove this condition" onClick={onRemove}>
        ×
      </button>
    </li>
  );
}

function useValues(tag: string, query: string, route: TracesRoute): readonly string[] {
  const key = `values ${tag} ${query} ${JSON.stringify(route.range)}`;
  const loaded = useLive(
    key,
    (signal) => (tag === "" ? Promise.resolve([]) : tagTexts(tag, query, timesOfRange(route.range), signal)),
    "once",
  );
  return loaded.data ?? [];
}

interface FormProps {
  readonly route: TracesRoute;
  readonly onRun: (query: string) => void;
}

/** The form. Every change is a search at once, but a condition that is not whole yet. */
export function SearchForm({ route, onRun }: FormProps) {
  const read = queryForm(route.q);
  const form = read ?? EMPTY_FORM;
  const [drafts, setDrafts] = useState<readonly Condition[]>(form.tags);
  const [about, setAbout] = useState("");
  useEffect(() => setDrafts(form.tags), [route.q]);
  const services = useValues("resource.service.name", "{}", route);
  const serviceQuery = form.service === "" ? "{}" : `{ resource.service.name = ${quoted(form.service)} }`;
  const operations = useValues("name", serviceQuery, route);
  const names = useLive(
    `tags ${JSON.stringify(route.range)}`,
    (signal) => tagNames(timesOfRange(route.range), signal),
    "once",
  );
  const values = useValues(about, serviceQuery, route);
  const tags = (names.data ?? []).flatMap(({ scope, tags }) =>
    scope === "intrinsic" ? [] : tags.map((tag) => attributeName(scope, tag)),
  );
  const run = (next: Form): void => onRun(formQuery(next));
  const withTags = (next: readonly Condition[]): void => {
    setDrafts(next);
    setAbout(next.find((one) => one.tag !== "" && one.value === "")?.tag ?? about);
    const whole = next.filter((one) => one.tag !== "" && one.value !== "");
    const q = formQuery({ ...form, tags: whole });
    if (q !== formQuery(form)) onRun(q);
  };
  if (read === null)
    return (
      <p class="form-away hint">
        This query says more than the form can show.{" "}
        <button type="button" class="link-button" onClick={() => onRun("")}>
          Start with an empty form
        </button>
      </p>
    );
  return (
    <div class="search-form">
      <Combo
        id="service"
        label="Service"
        value={form.service}
        options={services}
        placeholder="Any service"
        onChange={(service) => run({ ...form, service })}
      />
      <Combo
        id="operation"
        label="Operation"
        value={form.operation}
        options={operations}
        placeholder="Any operation"
        onChange={(operation) => run({ ...form, operation })}
      />
      <label class="field">
        <span>Status</span>
        <select
          value={form.status}
          onChange={(event) =>
            run({ ...form, status: STATUSES.find((one) => one === event.currentTarget.value) ?? "" })
          }
        >
          <option value="">Any</option>
          <option value="error">Failed</option>
          <option value="ok">Ok</option>
          <option value="unset">Not said</option>
        </select>
      </label>
      <Length label="Longer than" value={form.min} onChange={(min) => run({ ...form, min })} />
      <Length label="Shorter than" value={form.max} onChange={(max) => run({ ...form, max })} />
      <button
        type="button"
        class="button-quiet add-tag"
        onClick={() => setDrafts([...drafts, { tag: "", op: "=", value: "" }])}
      >
        + Attribute
      </button>
      {drafts.length > 0 && (
        <ul class="tag-conditions">
          {drafts.map((one, at) => (
            // A condition is its place in the form.
            <Tag
              key={at}
              of={one}
              at={at}
              names={tags}
              values={one.tag === about ? values : []}
              onChange={(next) => withTags(drafts.map((old, index) => (index === at ? next : old)))}
              onRemove={() => withTags(drafts.filter((_, index) => index !== at))}
            />
          ))}
        </ul>
      )}
    </div>
  );
}
