use serde_json::Value;

use crate::workspace::Workspace;
