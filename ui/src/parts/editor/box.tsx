// A query box: a plain text area until the editor is loaded, and for ever where it cannot be.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Create, Editor } from "./editor";
import type { Mark } from "./marks";

interface EditorBoxProps {
  /** Loads the language; asked once. */
  readonly load: () => Promise<{ readonly create: Create }>;
  readonly text: string;
  readonly label: string;
  readonly placeholder: string;
  readonly marks: readonly Mark[];
  readonly onChange: (text: string) => void;
  readonly onRun: (text: string) => void;
  /** Given a way to put the cursor into the box. */
  readonly onFocusable?: (focus: () => void) => void;
}

/** Enter runs, Shift+Enter makes a new line, completion by typing or Ctrl+Space. */
export function EditorBox(props: EditorBoxProps) {
  const { text, label, placeholder, marks } = props;
  const host = useRef<HTMLDivElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const editor = useRef<Editor | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [ready, setReady] = useState(false);
  // What the editor said and has not come back as `text` yet: an echo of typing must not overwrite newer typing.
  const said = useRef<string[]>([]);

  useEffect(() => {
    let gone = false;
    void latest.current.load().then(
      ({ create }) => {
        if (gone || !host.current) return;
        editor.current = create(host.current, {
          text: latest.current.text,
          label: latest.current.label,
          placeholder: latest.current.placeholder,
          onChange: (next) => {
            said.current.push(next);
            latest.current.onChange(next);
          },
          onRun: (next) => latest.current.onRun(next.trim()),
        });
        setReady(true);
      },
      () => undefined,
    );
    return () => {
      gone = true;
      editor.current?.destroy();
      editor.current = null;
    };
  }, []);
  useEffect(() => {
    const echo = said.current.lastIndexOf(text);
    if (echo >= 0) {
      said.current.splice(0, echo + 1);
      return;
    }
    said.current = [];
    editor.current?.setText(text);
  }, [text, ready]);
  useEffect(() => editor.current?.setMarks(marks), [marks, ready]);
  useEffect(() => latest.current.onFocusable?.(() => (editor.current ?? area.current)?.focus()), []);

  return (
    <div class="editor">
      <div ref={host} class="editor-host" hidden={!ready} />
      {!ready && (
        <textarea
          ref={area}
          rows={1}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          aria-label={label}
          placeholder={placeholder}
          value={text}
          onInput={(event) => props.onChange(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey) {
              event.preventDefault();
              props.onRun(event.currentTarget.value.trim());
            }
          }}
        />
      )}
    </div>
  );
}
