//! Certificates for one test: an authority, a server for 127.0.0.1, a client, and an authority that signed nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// Makes them below `dir` with the openssl command.
    pub fn make(dir: &Path) -> Self {
        let dir = dir.join("pki");
        std::fs::create_dir_all(&dir).unwrap();
        let pki = Self { dir };
        for authority in ["ca", "stranger"] {
            pki.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={authority} \
                 -keyout {authority}.key -out {authority}.pem"
            ));
        }
        for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
            let extensions = format!("subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n");
            std::fs::write(pki.dir.join("extensions"), extensions).unwrap();
            pki.openssl(&format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} \
                 -keyout {name}.key -out {name}.csr"
            ));
            pki.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions \
                 -out {name}.pem"
            ));
        }
        // What GLib's servers take: certificate and key in one file.
        let both = ["server.pem", "server.key"].map(|f| std::fs::read_to_string(pki.file(f)).unwrap());
        std::fs::write(pki.file("server-both.pem"), both.concat()).unwrap();
        pki
    }

    /// The path of `ca.pem`, `stranger.pem`, `server.pem`, `server.key`, `client.pem`, `client.key` or `server-both.pem`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.dir)
            .stdout(Stdio::null())
            .output()
            .expect("openssl is not installed: run `make setup`");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "openssl {arguments}: {said}");
    }
}
