//go:build tools

// Package tools pins the Pulumi CLI: `go install module@version` refuses modules with replace directives.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
