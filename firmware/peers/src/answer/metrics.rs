//! Questions about metrics.

use crate::frame::FrameWriter;
use crate::lists;
use crate::request::Question;
use crate::series::SeriesWriter;
use bramble_signal::SeriesSamples;
use bramble_storage::{MetricSource, QueryContext, ReadError};

pub(super) fn answer(
    question: &Question,
    source: &dyn MetricSource,
    context: &QueryContext,
    out: &mut FrameWriter<'_>,
) -> Result<bool, ReadError> {
    let mut writer = SeriesWriter::default();
    match question {
        Question::Samples(asked) => {
            let mut cursor = asked.with(|select| source.select(select, context))?;
            let mut series = SeriesSamples::default();
            while cursor.next(&mut series)? {
                context.check()?;
                writer.put(&series, out)?;
            }
        }
        Question::Series(asked) => {
            for labels in asked.with(|select| source.series(select, context))? {
                writer.put_labels(labels.as_ref(), &[], out)?;
            }
        }
        Question::Exemplars(asked) => {
            for series in asked.with(|select| source.exemplars(select, context))? {
                writer.put_labels(series.labels.as_ref(), &series.exemplars, out)?;
            }
        }
        Question::Metadata => {
            for metadata in source.metadata() {
                writer.put_metadata(metadata, out)?;
            }
        }
        Question::LabelNames(asked) => {
            lists::send(asked.with(|select| source.label_names(select, context))?, out)?;
        }
        Question::LabelValues { name, limit: None, of } => {
            lists::send(of.with(|select| source.label_values(name, select, context))?, out)?;
        }
        Question::LabelValues { name, limit: Some(limit), of } => {
            let (values, more) = of.with(|select| source.some_label_values(name, select, *limit, context))?;
            lists::send(values, out)?;
            return Ok(more);
        }
        _ => {}
    }
    writer.flush(out)?;
    Ok(false)
}
