//! One module an architecture: its numbers, keys and tensors. To add one, write its module and list it in [`Architecture`].

use crate::{
    model::Model,
    parameter::{self, Parameter},
};

macro_rules! architectures {
    ($($variant:ident $module:ident $about:literal;)*) => {
        $(mod $module;)*

        /// The architectures there are recipes for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Architecture {
            $(#[doc = $about] $variant,)*
        }

        impl Architecture {
            /// Every architecture.
            pub const ALL: [Self; [$($about),*].len()] = [$(Self::$variant),*];

            /// The value of `general.architecture`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($module),)*
                }
            }

            fn groups(self) -> &'static [&'static [Parameter]] {
                match self {
                    $(Self::$variant => $module::PARAMETERS,)*
                }
            }

            /// The defaults of parameters that differ from those of their group.
            fn own_defaults(self) -> &'static [(&'static str, f64)] {
                match self {
                    $(Self::$variant => $module::DEFAULTS,)*
                }
            }

            pub(crate) fn describe(self, model: &mut Model) {
                match self {
                    $(Self::$variant => $module::describe(model),)*
                }
            }
        }
    };
}

architectures! {
    Llama llama "Llama and Mixtral: grouped-query attention, adjacent elements that rotate together, `SwiGLU` or experts.";
    Qwen2 qwen2 "Qwen 2: biases on queries, keys and values, halves that rotate together.";
    Qwen3 qwen3 "Qwen 3: normed queries and keys.";
    Qwen3moe qwen3moe "Qwen 3 with experts.";
    Gemma3 gemma3 "Gemma 3: sliding and global layers, normed queries and keys, `GeGLU`, tied output.";
    Phi2 phi2 "Phi 2: layer norms, biases everywhere, attention and feed-forward part side by side, GELU.";
    Phi3 phi3 "Phi 3: fused tensors, long and short factors.";
    Glm4 glm4 "GLM 4: norms before and after, part of each head rotates.";
    Lfm2 lfm2 "LFM 2: short convolutions between layers with attention.";
    Smollm3 smollm3 "`SmolLM` 3: every fourth layer does not rotate.";
    Gemma2 gemma2 "Gemma 2: sliding and global layers, soft caps, `GeGLU`, tied output.";
    Olmo2 olmo2 "`OLMo` 2: norms after, queries and keys normed over all heads.";
    Granite granite "Granite 3: scales on embeddings, residuals, attention and logits.";
}

impl Architecture {
    /// The hyper-parameters that recipes can change, with this architecture's defaults.
    pub fn parameters(self) -> impl Iterator<Item = Parameter> {
        let own = move |parameter: Parameter| {
            let default = self.own_defaults().iter().find(|(name, _)| *name == parameter.name).map(|(_, default)| *default);
            Parameter { default: default.unwrap_or(parameter.default), ..parameter }
        };
        parameter::SIZES.iter().chain(self.groups().iter().copied().flatten()).copied().map(own)
    }

    /// The default of a hyper-parameter, where this architecture has it.
    pub(crate) fn default(self, name: &str) -> Option<f64> {
        self.parameters().find(|parameter| parameter.name == name).map(|parameter| parameter.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_of_parameters_that_are_there_and_names_stand_once() {
        for architecture in Architecture::ALL {
            let names: Vec<_> = architecture.parameters().map(|parameter| parameter.name).collect();
            assert!(architecture.own_defaults().iter().all(|(name, _)| names.contains(name)), "{architecture:?}");
            let mut once = names.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{architecture:?}");
        }
    }
}
