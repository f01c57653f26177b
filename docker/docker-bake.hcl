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
# The image that writes the bill of materials of what is released; "" leaves it out, for places where that image can't be had.
variable "SBOM_GENERATOR" { default = "docker/buildkit-syft-scanner:stable-1" }

# CI's metadata step gives tags and labels here.
target "docker-metadata-action" {
  labels = {
    "org.opencontainers.image.title"         = "mcp-memory-qdrant"
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
group "validate" { targets = ["lint", "alerts", "test"] }

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

# For `make coverage`. It is never published.
target "image-coverage" {
  inherits = ["image-local"]
  target   = "image-coverage"
  tags     = ["mcp-memory:coverage"]
}

target "image-all" { inherits = ["image", "_both"] }
target "image-torch-all" { inherits = ["image-torch", "_both"] }
target "proxy-all" { inherits = ["proxy", "_both"] }

# What is published, by docker/publish.py: each with a record of its build, and a bill of materials.
target "release" {
  name = "release-${item.name}"
  matrix = {
    item = [
      { name = "onnx", title = "mcp-memory-qdrant", stage = "image", flavor = "onnx" },
      { name = "torch", title = "mcp-memory-qdrant", stage = "image", flavor = "torch" },
      { name = "proxy", title = "mcp-memory-proxy", stage = "proxy", flavor = "onnx" },
    ]
  }
  inherits = ["_common", "docker-metadata-action", "_both"]
  target   = item.stage
  args     = { FLAVOR = item.flavor }
  labels   = { "org.opencontainers.image.title" = item.title }
  attest = concat(
    ["type=provenance,mode=max"],
    SBOM_GENERATOR != "" ? ["type=sbom,generator=${SBOM_GENERATOR}"] : [],
  )
}

target "lint" {
  inherits = ["_common"]
  target   = "lint"
  output   = ["type=cacheonly"]
}

# Prometheus's own check of the alert rules, and their tests.
target "alerts" {
  inherits = ["_common"]
  target   = "alerts"
  output   = ["type=cacheonly"]
}

target "test" {
  inherits = ["_common"]
  target   = "test"
  output   = ["type=cacheonly"]
}

# What tests/images/test_publish.py needs: a registry, and something that writes a bill of materials without the network.
target "registry" {
  inherits = ["_common"]
  target   = "registry"
  tags     = ["memory-test-registry:local"]
  output   = ["type=docker"]
}

target "bill-of-materials" {
  inherits = ["_common"]
  target   = "bill-of-materials"
  tags     = ["memory-test-bill-of-materials:local"]
}
