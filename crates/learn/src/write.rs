//! The files of a learned policy.

use std::fs;
use std::path::Path;

use policy::{TestOptions, TestOutcome, run_tests};

use crate::Error;
use crate::learn::{Learned, MODULE};

impl Learned {
    /// Writes `learned.rego`, `learned.yaml` and `learned_test.rego` into the folder `dir`, which is made if it is not
    /// there, and runs the tests. Files of these names are replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] names the file; [`Error::Policy`] when the folder holds something that does not load;
    /// [`Error::Unsound`] when a test fails.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        fs::create_dir_all(dir).map_err(|cause| Error::Write { path: dir.to_owned(), cause })?;
        let files = [
            ("learned.rego", MODULE),
            ("learned.yaml", &self.document),
            ("learned_test.rego", &self.tests),
        ];
        for (name, text) in files {
            let path = dir.join(name);
            fs::write(&path, text).map_err(|cause| Error::Write { path, cause })?;
        }
        let own = |name: &str| name.starts_with("data.mcp.learned_test.");
        let report = run_tests(dir, TestOptions { run: Some(&own), ..TestOptions::default() })?;
        match report.cases.iter().find(|case| case.outcome != TestOutcome::Passed) {
            None => Ok(()),
            Some(case) => Err(Error::Unsound(format!("`{}` fails", case.full_name()))),
        }
    }

    /// The text of `learned.yaml`.
    #[must_use]
    pub fn document(&self) -> &str {
        &self.document
    }
}
