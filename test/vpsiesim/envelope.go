package vpsiesim

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	jsonType = "application/json; charset=utf-8"
	htmlType = "text/html"
	wireTime = "2006-01-02T15:04:05.000Z"

	gatewayPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n" +
		"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)

// object is a JSON object of the wire.
type object = map[string]any

// reply is an answer before it is written.
type reply struct {
	status     int
	body       object // nil for HTML
	retryAfter int    // seconds; 0 sends no header
	lost       bool   // close the connection instead
}

// data answers with a payload.
func data(payload any) reply {
	return reply{status: http.StatusOK, body: object{"error": false, "data": payload}}
}

// list answers with one page of rows.
func list(c *call, rows []object) reply {
	r := data(c.page(rows))
	r.body["total"] = len(rows)
	return r
}

func failed(status int, message string) reply {
	return reply{status: status, body: object{"error": true, "code": status, "message": message}}
}

// refused answers with the refusal in err, or with data.
func refused(err error, payload any) reply {
	if err == nil {
		return data(payload)
	}
	var r *refusal
	if !errors.As(err, &r) {
		r = errLost
	}
	return failed(r.status, r.message)
}

func tooMany(retryAfterSeconds int) reply {
	r := failed(http.StatusTooManyRequests, "Too many requests")
	r.retryAfter = retryAfterSeconds
	return r
}

func badGateway() reply { return reply{status: http.StatusBadGateway} }

func (r reply) isError() bool { return r.body == nil || r.body["error"] == true }

// in gives an error the form that the switch asks for.
func (r reply) in(form string) reply {
	if !r.isError() || r.body == nil {
		return r
	}
	switch form {
	case "ok200":
		r.status = http.StatusOK
	case "html502":
		return badGateway()
	case "string":
		body := object{}
		for k, v := range r.body {
			body[k] = v
		}
		body["error"] = strings.ReplaceAll(http.StatusText(r.status), " ", "")
		r.body = body
	}
	return r
}

// outcome names the answer for the call counts.
func (r reply) outcome() string {
	if r.isError() && r.status < http.StatusBadRequest {
		return strconv.Itoa(r.status) + "-error"
	}
	return strconv.Itoa(r.status)
}

// encode returns the bytes and content type of the answer.
func (r reply) encode() ([]byte, string) {
	if r.body == nil {
		return []byte(gatewayPage), htmlType
	}
	b, err := json.Marshal(r.body)
	if err != nil {
		// Everything put into an object here can be encoded.
		panic(err)
	}
	return b, jsonType
}

// stamp formats a time as the wire does; zero becomes null.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(wireTime)
}

// price formats a monthly price as a number or as text.
func price(cents int64, kind string) any {
	if kind == "string" {
		return centsText(cents)
	}
	return json.Number(centsText(cents))
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
