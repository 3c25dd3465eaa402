//! Signing requests and verifying answers: RSASSA-PKCS1-v1_5 with SHA-256.
