//! `trunkline verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use callrail::{Diagnosis, SigningKey, diagnose};
use clap::Args;

/// Compares a captured body with the signature that came with it.
#[derive(Args)]
pub(crate) struct Verify {
    /// The company's signing key, from the Webhooks page in CallRail.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The value of the request's header `Signature`.
    #[arg(long, value_name = "SIGNATURE")]
    signature: String,
    /// The body, byte for byte as it came.
    file: PathBuf,
}

impl Verify {
    /// Succeeds when the request is genuine.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let key: SigningKey = self.key.parse().context("--key")?;
        let body =
            std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let diagnosis = diagnose(&key, &self.signature, &body);
        println!("{diagnosis}");
        Ok(if diagnosis == Diagnosis::Genuine {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
