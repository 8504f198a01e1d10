//! How far the work is, on a terminal.

use crate::event::{Event, Listener};
use indicatif::{ProgressBar, ProgressStyle};
use machine::Error;
use printable::Page;
use std::time::Duration;

/// Shows a run's events.
pub struct Progress<'a>(pub &'a ProgressBar);

impl Listener for Progress<'_> {
    fn hear(&mut self, event: &mut Event<'_>) -> Result<(), Error> {
        match event {
            Event::Planned(things) => count(self.0, *things),
            Event::Begun(words) => self.0.set_message((*words).to_owned()),
            Event::Done => self.0.inc(1),
            Event::Told(words) => self.0.suspend(|| Page::of(format_args!("ggauge: {words}")).say()),
            Event::Executed(_) | Event::Ended { .. } => {}
        }
        Ok(())
    }
}

/// What shows on stderr how far the work is; silent where that is not a terminal. It has no bar before [`count`] says what that is part of.
pub fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}");
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// From here on there are so many things to do.
pub fn count(progress: &ProgressBar, things: u64) {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed_precise} {wide_msg}");
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    progress.set_length(things);
    progress.set_position(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{ProgressDrawTarget, TermLike};
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    /// All that is written to a terminal.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, words: &str) -> io::Result<()> {
            self.write_str(words)
        }

        fn write_str(&self, words: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(words);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_counted_before_it_is_known_how_much_there_is() {
        let (screen, bar) = (Screen::default(), progress_bar());
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        bar.set_message("hashing model.gguf: 64 MiB of 128 MiB");
        bar.force_draw();
        let shown = screen.0.lock().unwrap().clone();
        assert!(shown.contains("64 MiB of 128 MiB") && !shown.contains("0/0") && !shown.contains('\u{2588}'), "{shown}");
        count(&bar, 3);
        bar.inc(1);
        bar.force_draw();
        let shown = screen.0.lock().unwrap().clone();
        assert!(shown.contains("1/3") && !shown.contains("0/0"), "{shown}");
    }
}
