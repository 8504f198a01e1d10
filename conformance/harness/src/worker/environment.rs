//! What workers get of the harness's environment: what runtimes, drivers and languages need, and no secret. They read files that nobody
//! vouches for, and some are other people's code.

use std::process::Command;

/// Variables that are passed on, by what they are for, `*` standing for anything. `PROTOCOL.md` has the same table, and a test holds the two
/// together.
pub const PASSED: [(&str, &str); 6] = [
    ("the machine and its user", "PATH HOME USER LOGNAME SHELL TMPDIR LANG LANGUAGE LC_* TZ XDG_*"),
    ("libraries, sanitizers, coverage", "LD_LIBRARY_PATH LD_PRELOAD DYLD_* *SAN_OPTIONS *_SYMBOLIZER_PATH LLVM_PROFILE_FILE"),
    (
        "GPUs and their drivers",
        "CUDA_* NVIDIA_* __NV_* __VK_* VK_* MESA_* LIBGL_* GALLIUM_* LP_* RADV_* ANV_* DRI_PRIME AMD_* HIP_* HSA_* ROCM_* \
         ROCR_* ZE_* SYCL_* ONEAPI_* MTL_* METAL_*",
    ),
    ("runtimes and their threads", "GGML_* LLAMA_* CANDLE_* MISTRALRS_* OMP_* GOMP_* KMP_* MKL_* OPENBLAS_* RAYON_*"),
    (
        "languages",
        "RUST_LOG RUST_BACKTRACE RUST_LIB_BACKTRACE RUST_MIN_STACK PYTHON* VIRTUAL_ENV CONDA_* NODE_PATH SSL_CERT_FILE \
         SSL_CERT_DIR HF_HOME HF_HUB_CACHE HF_HUB_OFFLINE",
    ),
    ("whatever you want your worker to have", "GGAUGE_*"),
];

/// Parts of names that speak of a secret: never passed on, whatever else the name is, but for those of ours.
const SECRET: [&str; 5] = ["TOKEN", "SECRET", "PASSW", "KEY", "CREDENTIAL"];

/// True for a variable that workers get.
pub fn passes(name: &str) -> bool {
    let matches = |pattern: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (_, Some(beginning)) => name.starts_with(beginning),
        (None, None) => name == pattern,
    };
    let secret = !name.starts_with("GGAUGE_") && SECRET.iter().any(|word| name.to_uppercase().contains(word));
    !secret && PASSED.iter().flat_map(|(_, names)| names.split_whitespace()).any(matches)
}

/// Leaves a command only those variables that workers get.
pub fn clean(command: &mut Command) {
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passes)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_here() {
        for name in [
            "PATH",
            "LC_ALL",
            "CUDA_VISIBLE_DEVICES",
            "UBSAN_OPTIONS",
            "PYTHONPATH",
            "HF_HOME",
            "GGAUGE_CACHE",
            "GGAUGE_MY_TOKEN",
        ] {
            assert!(passes(name), "{name}");
        }
        for name in [
            "HF_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_PROFILE",
            "NVIDIA_API_KEY",
            "LLAMA_CLOUD_API_KEY",
            "SSH_AUTH_SOCK",
            "https_proxy",
        ] {
            assert!(!passes(name), "{name}");
        }
    }

    #[test]
    fn the_protocol_lists_what_is_passed() {
        let text = include_str!("../../../vocabulary/PROTOCOL.md");
        for (purpose, names) in PASSED {
            let names: Vec<_> = names.split_whitespace().map(|name| format!("`{name}`")).collect();
            let row = format!("| {purpose} | {} |\n", names.join(", "));
            assert!(text.contains(&row), "PROTOCOL.md does not have the row\n{row}");
        }
    }
}
