# Everything a developer or CI does with images is a target here:
#
#   docker buildx bake -f docker/docker-bake.hcl [TARGET...]
#
# `make images` builds both flavours for both architectures; CI takes its matrix from this file.

variable "BASE" { default = "debian:trixie-slim" }
variable "REVISION" { default = "unknown" }
variable "VERSION" { default = "" }
variable "BUILD_CA_FILE" { default = "docker/no-ca.pem" }
variable "SOURCE_DATE_EPOCH" { default = "" }

# CI's metadata step gives tags and labels here.
target "docker-metadata-action" {
  labels = {
    "org.opencontainers.image.title"         = "mcp-memory"
    "org.opencontainers.image.description"   = "Semantic memory for AI assistants: REST, MCP and a CLI over Qdrant"
    "org.opencontainers.image.licenses"      = "Apache-2.0"
    "org.opencontainers.image.version"       = VERSION
    "org.opencontainers.image.revision"      = REVISION
    "org.opencontainers.image.base.name"     = BASE
    "org.opencontainers.image.documentation" = "docs/install.md"
  }
}

target "_common" {
  context    = "."
  dockerfile = "docker/Dockerfile"
  secret     = ["id=ca,src=${BUILD_CA_FILE}"]
  args = {
    BASE              = BASE
    REVISION          = REVISION
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH != "" ? SOURCE_DATE_EPOCH : null
  }
}

group "default" { targets = ["image-local"] }
group "local" { targets = ["image-local", "proxy-local"] }
group "all" { targets = ["image-all", "image-torch-all", "proxy-all"] }
group "validate" { targets = ["lint", "test"] }

target "image" {
  inherits = ["_common", "docker-metadata-action"]
  target   = "image"
  tags     = ["mcp-memory:dev"]
}

target "image-torch" {
  inherits = ["image"]
  args     = { FLAVOR = "torch" }
  tags     = ["mcp-memory:dev-torch"]
}

target "proxy" {
  inherits = ["_common"]
  target   = "proxy"
  tags     = ["mcp-memory-proxy:dev"]
}

target "_both" {
  platforms = ["linux/amd64", "linux/arm64"]
}

# This machine's architecture, into its image store.
target "image-local" {
  inherits = ["image"]
  tags     = ["mcp-memory:local"]
  output   = ["type=docker"]
}

target "proxy-local" {
  inherits = ["proxy"]
  tags     = ["mcp-memory-proxy:local"]
  output   = ["type=docker"]
}

target "image-all" { inherits = ["image", "_both"] }
target "image-torch-all" { inherits = ["image-torch", "_both"] }
target "proxy-all" { inherits = ["proxy", "_both"] }

# What is published: with a bill of materials and a signed record of the build.
target "release" {
  name     = "release-${flavor}"
  matrix   = { flavor = ["onnx", "torch"] }
  inherits = ["_common", "docker-metadata-action", "_both"]
  target   = "image"
  args     = { FLAVOR = flavor }
  attest   = ["type=sbom", "type=provenance,mode=max"]
}

target "lint" {
  inherits = ["_common"]
  target   = "lint"
  output   = ["type=cacheonly"]
}

target "test" {
  inherits = ["_common"]
  target   = "test"
  output   = ["type=cacheonly"]
}
