//! Questions about logs.

use crate::digest::Digests;
use crate::frame::{ENTRIES, FRAME_BYTES, FrameWriter};
use crate::lists::{self, Steps, Template};
use crate::request::Question;
use crate::rows::{self, Indexed};
use bramble_signal::{Labels, LogBatch};
use bramble_storage::{LogRows, LogSource, QueryContext, ReadError};
use bramble_wire::delivery::put_logs;

pub(super) fn answer(
    question: &Question,
    source: &dyn LogSource,
    context: &QueryContext,
    out: &mut FrameWriter<'_>,
) -> Result<bool, ReadError> {
    match question {
        Question::Entries(asked) => {
            let mut cursor = asked.with(|select| source.select(select, context))?;
            let (mut indexed, mut payload) = (Indexed::default(), Vec::new());
            while cursor.next(&mut indexed.rows)? {
                indexed.index();
                rows::send(&indexed, &mut payload, out, &|| context.check())?;
            }
        }
        Question::Digests { of, width_ns } => {
            let mut cursor = of.with(|select| source.select(select, context))?;
            let (mut rows, mut digests) = (LogRows::default(), Digests::default());
            while cursor.next(&mut rows)? {
                context.check()?;
                digests.add(&rows, of.start_ns, *width_ns);
            }
            lists::send(digests.list(), out)?;
        }
        Question::Streams(asked) => {
            let read = |select: &bramble_storage::LogSelect<'_>| {
                source.streams(select.matchers, select.start_ns, select.end_ns, context)
            };
            streams(&asked.with(read)?, out)?;
        }
        Question::Totals { of, step_ns } => {
            let read = |select: &bramble_storage::LogSelect<'_>| {
                source.totals_by_step(select.matchers, select.start_ns, select.end_ns, *step_ns, context)
            };
            lists::send(of.with(read)?.into_iter().map(Steps::from), out)?;
        }
        Question::Templates { of, step_ns, most } => {
            let found = of.with(|select| source.templates(select, *step_ns, *most, context))?;
            lists::send(found.into_iter().map(Template::from), out)?;
        }
        _ => {}
    }
    Ok(false)
}

/// Label sets: streams without entries.
fn streams(found: &[Labels], out: &mut FrameWriter<'_>) -> Result<(), ReadError> {
    let (mut batch, mut bytes, mut payload) = (LogBatch::new(), 0, Vec::new());
    for (at, labels) in found.iter().enumerate() {
        batch.start_stream_encoded(labels.as_ref());
        bytes += labels.as_bytes().len();
        if bytes >= FRAME_BYTES || at + 1 == found.len() {
            payload.clear();
            put_logs(&batch, &mut payload);
            out.send(ENTRIES, &payload)?;
            batch.clear();
            bytes = 0;
        }
    }
    Ok(())
}
