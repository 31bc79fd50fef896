//! A copy of PostgreSQL's programs that a test may replace under a running server, as the upgrade of a package does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::support::Home;

/// The programs that a server needs. The folder may hold many others.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_config"];

/// How the libraries' names end.
const LIBRARY_ENDINGS: [&str; 2] = ["so", "dylib"];

/// Programs that lie in a test's own folder, laid out as their original is.
pub struct ProgramsCopy {
    /// Where the copy is. It is replaced as a whole.
    root: PathBuf,
    /// What was copied.
    original: Places,
    /// The folder that all of it lies in.
    prefix: PathBuf,
}

struct Places {
    programs: PathBuf,
    libraries: PathBuf,
    shared: PathBuf,
}

impl ProgramsCopy {
    /// Copies the programs by which the cluster of this home was run last.
    pub fn of(home: &Home) -> Self {
        let options = fs::read_to_string(home.data_dir().join("postgres/postmaster.opts")).unwrap();
        let server = PathBuf::from(options.split(" \"").next().unwrap());
        let programs = server.parent().unwrap().to_owned();
        let ask = |what: &str| {
            let output = Command::new(programs.join("pg_config")).arg(what).output().unwrap();
            fs::canonicalize(String::from_utf8(output.stdout).unwrap().trim()).unwrap()
        };
        let (libraries, shared) = (ask("--pkglibdir"), ask("--sharedir"));
        let holds_all = |folder: &&Path| libraries.starts_with(folder) && shared.starts_with(folder);
        let prefix = programs.ancestors().find(holds_all).unwrap().to_owned();
        let original = Places { programs, libraries, shared };
        let copy = Self { root: home.path().join("programs"), original, prefix };
        copy.copy_to(&copy.root);
        copy
    }

    /// A `PATH` with the copy first and the original behind it.
    pub fn search_path(&self) -> String {
        format!("{}:{}:/usr/bin:/bin", self.programs().display(), self.original.programs.display())
    }

    pub fn programs(&self) -> PathBuf {
        self.within(&self.root, &self.original.programs)
    }

    pub fn original_programs(&self) -> &Path {
        &self.original.programs
    }

    /// The library of PL/pgSQL.
    pub fn library(&self) -> PathBuf {
        let library = self.within(&self.root, &self.original.libraries).join("plpgsql");
        let places = LIBRARY_ENDINGS.map(|ending| library.with_extension(ending));
        places.into_iter().find(|place| place.exists()).unwrap()
    }

    /// Puts another copy in the place of this one, whose programs were made at that time, and changes it first.
    pub fn upgrade(&self, modified: SystemTime, change: impl FnOnce(&Self)) {
        let beside = Self {
            root: self.root.with_extension("new"),
            original: Places {
                programs: self.original.programs.clone(),
                libraries: self.original.libraries.clone(),
                shared: self.original.shared.clone(),
            },
            prefix: self.prefix.clone(),
        };
        beside.copy_to(&beside.root);
        change(&beside);
        for file in [beside.programs().join("postgres"), beside.library()] {
            File::options().append(true).open(file).unwrap().set_modified(modified).unwrap();
        }
        let before = self.root.with_extension("old");
        fs::rename(&self.root, &before).unwrap();
        fs::rename(&beside.root, &self.root).unwrap();
        fs::remove_dir_all(before).unwrap();
    }

    pub fn remove(&self) {
        fs::remove_dir_all(&self.root).unwrap();
    }

    fn within(&self, root: &Path, place: &Path) -> PathBuf {
        root.join(place.strip_prefix(&self.prefix).unwrap())
    }

    fn copy_to(&self, root: &Path) {
        let programs = self.within(root, &self.original.programs);
        fs::create_dir_all(&programs).unwrap();
        for program in PROGRAMS {
            fs::copy(self.original.programs.join(program), programs.join(program)).unwrap();
        }
        let libraries = self.within(root, &self.original.libraries);
        fs::create_dir_all(&libraries).unwrap();
        for entry in fs::read_dir(&self.original.libraries).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), libraries.join(entry.file_name())).unwrap();
            }
        }
        let shared = self.within(root, &self.original.shared);
        fs::create_dir_all(shared.parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg("-R").arg(&self.original.shared).arg(&shared).status().unwrap();
        assert!(copied.success());
    }
}

/// The files that a process has taken code from, out of a folder.
pub fn code_of(pid: u32, folder: &Path) -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let paths = maps.lines().filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])));
    paths.filter(|path| path.starts_with(folder)).collect()
}
