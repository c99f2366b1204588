//go:build tools

// Package tools pins the Pulumi CLI's host for Python programs: the last release in which it was part of the SDK's module.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
