//! The worker: all that a product needs of a binary.

use judge_your_model::{NAME, RotationPairs, StandIn};

fn main() -> std::io::Result<()> {
    ggauge::serve(NAME, |_, _| Ok(Box::new(StandIn { pairs: RotationPairs::Neighbours })))
}
