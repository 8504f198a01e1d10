//! The worker of a build with a mistake, to see that the test notices.

use judge_your_model::{NAME, RotationPairs, StandIn};

fn main() -> std::io::Result<()> {
    ggauge::serve(NAME, |_, _| Ok(Box::new(StandIn { pairs: RotationPairs::Halves })))
}
