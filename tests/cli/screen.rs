//! The screen of `couponctl watch`, in a pseudo-terminal.
#![cfg(unix)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::signals::signal;
use crate::workspace::{Stock, Workspace};

/// Longest that anything is waited for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Screen {
    child: Child,
    keys: File,
    /// The other end, as the program has it.
    terminal: File,
    shown: Arc<Mutex<vt100::Parser>>,
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Screen {
    /// Starts a watch in a window of so many rows and columns.
    fn start(workspace: &Workspace, more: &[&str], rows: u16, columns: u16) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let terminal = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let (keys, terminal) = (File::from(keys), File::from(terminal));
        let shown = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let mut command = workspace.command(&[&["watch"], more].concat());
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        command.stdin(terminal.try_clone().unwrap());
        command.stdout(terminal.try_clone().unwrap()).stderr(terminal.try_clone().unwrap());
        tcsetwinsize(&keys, size(rows, columns)).unwrap();
        let child = command.spawn().unwrap();
        let (mut out, parser) = (keys.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                parser.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { child, keys, terminal, shown }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        self.shown.lock().unwrap().screen().contents()
    }

    #[track_caller]
    fn until(&self, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if text.contains(what) {
                // The rest of the frame is on its way.
                std::thread::sleep(Duration::from_millis(100));
                return self.text();
            }
            assert!(Instant::now() < end, "waited in vain for {what:?}; the screen:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.shown.lock().unwrap().screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.keys, size(rows, columns)).unwrap();
        // The terminal does not control the program here, so that the news comes from us.
        signal(&self.child, "-WINCH");
    }

    /// Whether keys are shown and lines edited, as a shell wants it.
    fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Without what is another at each run.
fn settled(text: &str, workspace: &Workspace) -> String {
    let name = workspace.path("").file_name().unwrap().to_string_lossy().into_owned();
    let mut lines: Vec<String> =
        text.lines().map(|line| line.replace(&name, "WORKSPACE")).collect();
    if let Some(line) = lines.get_mut(1) {
        line.replace_range(..8, "HH:MM:SS");
    }
    lines.join("\n")
}

#[test]
fn an_edit_an_error_its_mending_and_an_apply_are_seen_on_one_screen() {
    let workspace = Workspace::with(&["spring-100-minus-10"]);
    let mut screen = Screen::start(&workspace, &["--sandbox"], 24, 80);
    let text = screen.until("q quit");
    insta::assert_snapshot!("watch_first", settled(&text, &workspace));
    assert!(!screen.is_as_before(), "keys come without Enter");

    let file = "stocks/spring-100-minus-10.yaml";
    let right = workspace.read(file);
    workspace.write(file, right.replace("max_count:", "max_cuont:"));
    let text = screen.until("nothing is planned");
    insta::assert_snapshot!("watch_error", settled(&text, &workspace));
    screen.press("a");
    screen.until("Not applied: there is no plan");

    workspace.write(file, &right);
    screen.until("Plan: 1 to create");
    screen.press("a");
    screen.until("Only `yes` carries it out:");
    assert!(screen.is_as_before(), "the answer is typed as in a shell");
    screen.press("no\n");
    screen.until("Not applied: not approved; nothing was sent");
    assert!(!workspace.exists(".couponctl/sandbox/couponctl.lock"));
    screen.press("a");
    screen.until("Only `yes` carries it out:");
    screen.press("yes\n");
    let text = screen.until("Apply: 1 created");
    insta::assert_snapshot!("watch_applied", settled(&text, &workspace));
    assert_eq!(workspace.locked(".couponctl/sandbox/couponctl.lock").len(), 1);
    screen.press("a");
    screen.until("Nothing to apply.");

    screen.press("q");
    assert_eq!(screen.child.wait().unwrap().code(), Some(0));
    assert!(screen.is_as_before(), "the terminal is given back");
}

#[test]
fn the_window_is_respected_at_any_size() {
    let names: Vec<_> = (0..40).map(|number| format!("stock-{number:02}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let workspace = Workspace::with(&names);
    let mut screen = Screen::start(&workspace, &[], 20, 60);
    let text = screen.until("q quit");
    // In this font, Chinese takes two columns; the terminal wraps no line.
    assert!(text.starts_with("couponctl watch: "), "nothing scrolled away:\n{text}");
    assert!(text.contains("more stocks: `v` shows all"), "{text}");
    let rows = text.lines().count();
    assert_eq!(rows, 20, "{text}");
    for (rows, columns) in [(10, 30), (40, 120), (5, 20), (1, 10), (24, 80)] {
        screen.resize(rows, columns);
        screen.press("x");
        let end = Instant::now() + PATIENCE;
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let text = screen.text();
            let whole = text.starts_with("couponctl") && text.lines().count() == usize::from(rows);
            if whole && (rows < 10 || text.contains("q quit")) {
                break;
            }
            assert!(Instant::now() < end, "{rows} x {columns}:\n{text}");
        }
    }
    screen.press("v");
    // All of it scrolls by; its end is what is left on the screen.
    screen.until("v show what fits");
    assert!(screen.text().contains("+ create stock-39"), "{}", screen.text());
    screen.press("v");
    screen.until("more stocks: `v` shows all");
    signal(&screen.child, "-INT");
    assert_eq!(screen.child.wait().unwrap().code(), Some(130));
    assert!(screen.is_as_before(), "the terminal is given back");
}

#[test]
fn warnings_stay_short_so_that_the_plan_is_seen() {
    let workspace = Workspace::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let yaml = Stock::default().yaml(name).replace("NONE", "SPECIFIC");
        workspace.write(&format!("stocks/{name}.yaml"), yaml);
    }
    let screen = Screen::start(&workspace, &[], 24, 100);
    let text = screen.until("q quit");
    assert!(text.contains("warning[stores-to-associate] stocks/a.yaml:18:16:"), "{text}");
    assert!(text.contains("… 2 more warnings"), "{text}");
    assert!(text.contains("+ create a"), "{text}");
}
