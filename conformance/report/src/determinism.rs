//! How deterministic subjects are, as a table.

use printable::{Form, Page, Sheet};
use record::determinism::{Aspect, AspectMeasured};
use vocabulary::{Settings, SubjectId};

/// A row for each subject and settings, a column for each aspect.
pub fn table(measured: &[AspectMeasured], form: Form) -> Page {
    let mut sheet = Sheet::new(std::iter::once("subject").chain(Aspect::ALL.map(Aspect::words)));
    let mut subjects: Vec<(&SubjectId, Settings)> = measured.iter().map(|m| (&m.subject, m.settings)).collect();
    subjects.dedup();
    for (subject, settings) in subjects {
        let cell = |aspect| {
            let found = measured.iter().find(|m| m.subject == *subject && m.settings == settings && m.aspect == aspect);
            found.map_or_else(String::new, AspectMeasured::words)
        };
        sheet.row(std::iter::once(format!("{subject} {settings}")).chain(Aspect::ALL.map(cell)));
    }
    let mut page = Page::new(form);
    page.sheet(&sheet);
    page
}
